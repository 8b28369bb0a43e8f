//! Removes what an attempt wrote and did not commit.

use futures_util::{StreamExt as _, stream};
use object_store::path::Path;

use super::state::{Commit, Own, State};
use super::store::Store;
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Maximum number of uploads that are aborted at once.
const MAX_CONCURRENT_ABORTS: usize = 8;

/// Removes the uploads of a state, and what commits without a manifest wrote. Returns what could not be removed, and the last
/// error.
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
    for commit in state.commits {
        if let Err(error) = remove_uncommitted(store, &commit).await {
            left.commits.push(commit);
            outcome = Err(error);
        }
    }
    (left, outcome)
}

/// Removes what a commit wrote, unless its manifest is there.
async fn remove_uncommitted(store: &Store, commit: &Commit) -> Result<(), DeliveryError> {
    let parse = |key: &str| {
        Path::parse(key).map_err(|error| DeliveryError::with(FailureCode::Internal, "the key of a commit", error))
    };
    let Some(own) = &commit.own else { return Ok(()) };
    if store.read(&parse(&commit.manifest)?).await?.is_some() {
        return Ok(());
    }
    match own {
        Own::Folder(folder) => store.remove_folder(&parse(folder)?).await,
        Own::File(file) => store.delete(&parse(file)?).await,
    }
}
