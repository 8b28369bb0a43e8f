//! What an attempt that was lost left in a directory.

use super::file_system::FileSystem;
use super::names::{Names, SavedAttempt};
use super::writer::{find_manifest, remove_earlier};
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Removes the staged files of a run that has ended, unless its result is there.
pub async fn remove_staged<F: FileSystem>(mut files: F, saved: &str) -> Result<(), DeliveryError> {
    let invalid =
        |cause| DeliveryError::with(FailureCode::Internal, "the saved names of an attempt are invalid", cause);
    let saved: SavedAttempt = serde_json::from_str(saved).map_err(invalid)?;
    let names = Names::new(F::STAGED_PREFIX, &saved)?;
    if find_manifest(&mut files, &names).await?.is_none() {
        remove_earlier(&mut files, &names).await?;
        if let Some(folder) = names.run_folder() {
            // The attempt may have removed it, or not have created it.
            let _ = files.remove_folder(folder).await;
        }
    }
    Ok(())
}
