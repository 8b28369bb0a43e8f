//! Names of the files of a delivery.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::delivery::destinations::Delivery;
use crate::delivery::{DeliveryError, Manifest};
use crate::model::FailureCode;

/// Name of the manifest in the folder of several files.
const SUCCESS: &str = "_SUCCESS.json";
/// What the manifest of a single file adds to its name.
const MANIFEST_SUFFIX: &str = ".manifest.json";
/// Maximum number of bytes of a path below the directory of a connection.
const MAX_PATH_BYTES: usize = 2000;

/// An attempt, as it is saved before it writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedAttempt {
    /// Folder of the export, below the directory.
    pub folder: String,
    /// Path of the manifest, below the folder.
    pub manifest_path: String,
    /// The run that it belongs to.
    pub run: Uuid,
    /// Number of the attempt.
    pub attempt: u32,
}

impl SavedAttempt {
    /// The attempt of a delivery.
    pub fn of(folder: &str, delivery: &Delivery) -> Self {
        let (folder, manifest_path) = (folder.to_owned(), delivery.manifest_path.clone());
        Self { folder, manifest_path, run: delivery.run, attempt: delivery.attempt }
    }

    /// The text to save.
    pub fn encode(&self) -> Result<String, DeliveryError> {
        serde_json::to_string(self)
            .map_err(|cause| DeliveryError::with(FailureCode::Internal, "cannot save the names of an attempt", cause))
    }

    /// Reads a saved text.
    pub fn decode(text: &str) -> Result<Self, DeliveryError> {
        let invalid =
            |cause| DeliveryError::with(FailureCode::Internal, "the saved names of an attempt are invalid", cause);
        serde_json::from_str(text).map_err(invalid)
    }
}

/// The names of one attempt. All paths include the folder of the export.
pub struct Names {
    folder: String,
    prefix: &'static str,
    run: Uuid,
    attempt: u32,
    /// Path of the manifest.
    pub manifest: String,
}

impl Names {
    /// The names of an attempt; the staged ones begin with `prefix`.
    pub fn new(prefix: &'static str, attempt: &SavedAttempt) -> Result<Self, DeliveryError> {
        let SavedAttempt { folder, run, attempt, manifest_path } = attempt;
        let mut names = Self { folder: folder.clone(), prefix, run: *run, attempt: *attempt, manifest: String::new() };
        names.manifest = names.path(manifest_path)?;
        Ok(names)
    }

    /// A path of the output with the folder of the export. Fails if it could lead out of that folder.
    pub fn path(&self, path: &str) -> Result<String, DeliveryError> {
        let joined = join(&self.folder, path);
        if joined.len() > MAX_PATH_BYTES || !joined.split('/').all(is_segment) {
            return Err(DeliveryError::new(
                FailureCode::Internal,
                format!("the path of a file is invalid: {joined:?}"),
            ));
        }
        Ok(joined)
    }

    /// The name under which this attempt stages a file.
    pub fn staged(&self, path: &str) -> String {
        self.staged_by(path, self.attempt)
    }

    /// Names under which this and earlier attempts may have staged the manifest and the single file that it describes.
    pub fn earlier_staged(&self) -> Vec<String> {
        let paths = self.single_file().into_iter().chain([self.manifest.as_str()]);
        paths.flat_map(|path| (0..=self.attempt).map(|attempt| self.staged_by(path, attempt))).collect()
    }

    /// The path of the single file that the manifest describes.
    pub fn single_file(&self) -> Option<&str> {
        self.manifest.strip_suffix(MANIFEST_SUFFIX)
    }

    /// The folder that belongs to the run alone: the one of the manifest of several files. `None` for a single file.
    pub fn run_folder(&self) -> Option<&str> {
        let folder = self.manifest.strip_suffix(SUCCESS)?.strip_suffix('/')?;
        let name = folder.rsplit('/').next()?;
        self.holds_run(name).then_some(folder)
    }

    /// Whether a path holds the id of the run, so that no other run writes there.
    pub fn holds_run(&self, path: &str) -> bool {
        path.contains(&self.run.hyphenated().to_string()) || path.contains(&self.run.simple().to_string())
    }

    /// Whether a manifest describes the result of this run.
    pub fn is_of_run(&self, manifest: &Manifest) -> bool {
        manifest.run.rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok()) == Some(self.run)
    }

    fn staged_by(&self, path: &str, attempt: u32) -> String {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        join(folder, &format!("{}{name}.part-{}-{attempt}", self.prefix, self.run))
    }
}

/// Whether a text is a segment of a path: not empty, `.` or `..`, and without separators and control characters.
pub fn is_segment(text: &str) -> bool {
    !["", ".", ".."].contains(&text) && !text.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

/// Joins a folder, which may be empty, and a path.
pub fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

/// The folders that a path goes through, from the outermost to the one of the file.
pub fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &str, manifest_path: &str) -> Result<Names, DeliveryError> {
        let (folder, manifest_path) = (folder.to_owned(), manifest_path.to_owned());
        Names::new(".", &SavedAttempt { folder, manifest_path, run: Uuid::from_u128(7), attempt: 1 })
    }

    #[test]
    fn staged_names_lie_in_the_folder_of_the_final_name_and_hold_run_and_attempt() {
        let names = names("weekly", "e-t.csv.manifest.json").unwrap();
        let run = Uuid::from_u128(7);
        assert_eq!(names.staged("weekly/e-t.csv"), format!("weekly/.e-t.csv.part-{run}-1"));
        let expected = [
            format!("weekly/.e-t.csv.part-{run}-0"),
            format!("weekly/.e-t.csv.part-{run}-1"),
            format!("weekly/.e-t.csv.manifest.json.part-{run}-0"),
            format!("weekly/.e-t.csv.manifest.json.part-{run}-1"),
        ];
        assert_eq!(names.earlier_staged(), expected);
        assert_eq!(names.run_folder(), None);
    }

    #[test]
    fn only_a_folder_that_is_named_after_the_run_belongs_to_it() {
        let run = Uuid::from_u128(7);
        let of_run = names("", &format!("e/20261124T060000Z-{run}/_SUCCESS.json")).unwrap();
        assert_eq!(of_run.run_folder(), Some(format!("e/20261124T060000Z-{run}").as_str()));
        assert_eq!(names("weekly", "_SUCCESS.json").unwrap().run_folder(), None);
        assert_eq!(names("", "_SUCCESS.json").unwrap().run_folder(), None);
    }

    #[test]
    fn paths_that_could_lead_elsewhere_are_refused() {
        for path in ["", "/a", "a//b", "../a", "a/..", "a/./b", "a\\b", "a\nb", "a/"] {
            assert!(names("folder", path).is_err(), "{path:?}");
        }
        assert!(names("../up", "a").is_err());
        assert!(names("", &"a".repeat(MAX_PATH_BYTES + 1)).is_err());
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(parents("c").count(), 0);
    }
}
