//! Removes what an attempt wrote and did not commit.

use futures_util::{StreamExt as _, stream};
use object_store::path::Path;

use super::manifest;
use super::state::State;
use super::store::Store;
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Maximum number of uploads that are aborted at once.
const MAX_CONCURRENT_ABORTS: usize = 8;

/// Removes the uploads of a state, and the objects of its folder unless the folder has a manifest. Returns what could
/// not be removed, and the last error.
pub(super) async fn remove(store: &Store, state: State) -> (State, Result<(), DeliveryError>) {
    let (mut left, mut outcome) = (State::default(), Ok(()));
    let mut aborted = stream::iter(state.uploads)
        .map(async |upload| (store.abort(&upload).await, upload))
        .buffer_unordered(MAX_CONCURRENT_ABORTS);
    while let Some((result, upload)) = aborted.next().await {
        if let Err(error) = result {
            left.uploads.push(upload);
            outcome = Err(error);
        }
    }
    if let Some(folder) = state.folder
        && let Err(error) = remove_folder(store, &folder).await
    {
        left.folder = Some(folder);
        outcome = Err(error);
    }
    (left, outcome)
}

async fn remove_folder(store: &Store, folder: &str) -> Result<(), DeliveryError> {
    let folder = Path::parse(folder).map_err(|error| DeliveryError::with(FailureCode::Internal, "folder", error))?;
    if folder.as_ref().is_empty() || store.read(&manifest::in_folder(&folder)).await?.is_some() {
        return Ok(());
    }
    store.remove_folder(&folder).await
}
