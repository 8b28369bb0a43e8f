//! What an attempt has written and not committed, saved so that a later attempt or a background task can remove it.

use std::sync::Arc;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::delivery::DeliveryError;
use crate::delivery::destinations::StateLog;
use crate::model::FailureCode;

/// Maximum size of the saved text. It bounds the number of uploads of one delivery to about 1,000.
const MAX_STATE_BYTES: usize = 256 * 1024;

/// What attempts may have left at the store.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Uploads that are not complete.
    #[serde(default)]
    pub(super) uploads: Vec<OpenUpload>,
    /// Commits that began, of different names: the export may be edited between two attempts.
    #[serde(default)]
    pub(super) commits: Vec<Commit>,
}

/// A commit that began. Without its manifest, what it wrote is no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Commit {
    /// Key of the manifest.
    pub(super) manifest: String,
    /// What belongs to the run alone, because its name holds the run.
    pub(super) own: Option<Own>,
}

/// What belongs to a run alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Own {
    /// A folder.
    Folder(String),
    /// The single file.
    File(String),
}

/// A multipart upload.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenUpload {
    /// Key of the object.
    pub(super) key: String,
    /// Id of the upload.
    pub(super) id: String,
}

impl State {
    /// Reads a saved text. The empty text is the empty state.
    pub(super) fn read(text: &str) -> Result<Self, DeliveryError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| DeliveryError::with(FailureCode::Internal, "saved state", error))
    }
}

/// The state of an attempt, saved after each change.
pub(super) struct SavedState {
    state: State,
    log: Arc<dyn StateLog>,
}

impl SavedState {
    /// Begins with what earlier attempts left and could not be removed.
    pub(super) fn new(state: State, log: Arc<dyn StateLog>) -> Self {
        Self { state, log }
    }

    /// Adds an upload. Fails if it could not be saved.
    pub(super) async fn add_upload(&mut self, key: &Path, id: &str) -> Result<(), DeliveryError> {
        self.state.uploads.push(OpenUpload { key: key.to_string(), id: id.to_owned() });
        self.save().await
    }

    /// Adds a commit that is about to begin.
    pub(super) async fn begin_commit(&mut self, commit: Commit) -> Result<(), DeliveryError> {
        if !self.state.commits.contains(&commit) {
            self.state.commits.push(commit);
        }
        self.save().await
    }

    /// Takes the state to remove what it names.
    pub(super) fn take(&mut self) -> State {
        std::mem::take(&mut self.state)
    }

    async fn save(&self) -> Result<(), DeliveryError> {
        let text = serde_json::to_string(&self.state)
            .map_err(|error| DeliveryError::with(FailureCode::Internal, "state", error))?;
        if text.len() > MAX_STATE_BYTES {
            let detail = "too many files are uploaded at once: increase the rows or bytes per file";
            return Err(DeliveryError::new(FailureCode::LimitExceeded, detail));
        }
        self.log.save(&text).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Memory;
    use super::*;

    #[test]
    fn a_state_survives_its_text() {
        let uploads = vec![OpenUpload { key: "a/\"b\".csv".into(), id: "x=".into() }];
        let commits = vec![Commit { manifest: "a/m".into(), own: Some(Own::Folder("a".into())) }];
        let state = State { uploads, commits };
        let text = serde_json::to_string(&state).expect("JSON");
        assert_eq!(State::read(&text).expect("a state"), state);
        assert_eq!(State::read("").expect("a state"), State::default());
        assert!(State::read("[").is_err());
    }

    #[tokio::test]
    async fn the_number_of_uploads_is_limited_and_all_of_them_are_known() {
        let memory = Arc::new(Memory::default());
        let mut state = SavedState::new(State::default(), Arc::<Memory>::clone(&memory));
        let key = Path::parse("prefix/weekly/20261124T060000Z-01a217b7-8267-7502-8dbe-29b95d820427/part-00000.csv.zst");
        let (key, id) = (key.unwrap(), "i".repeat(128));
        let mut added = 0;
        let error = loop {
            match state.add_upload(&key, &id).await {
                Ok(()) => added += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.code, FailureCode::LimitExceeded);
        assert!((900..1_200).contains(&added), "{added}");
        assert_eq!(State::read(&memory.0.lock()).unwrap().uploads.len(), added);
        assert_eq!(state.take().uploads.len(), added + 1, "an abort removes the last one too");
    }
}
