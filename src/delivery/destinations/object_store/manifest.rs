//! Manifests at an object store.

use object_store::path::Path;
use uuid::Uuid;

use super::state::Own;
use super::store::Store;
use crate::delivery::{DeliveryError, Manifest};
use crate::model::FailureCode;

/// Name of the manifest of a run with several files, in the folder of the run.
const FOLDER_MANIFEST: &str = "_SUCCESS.json";
/// What the manifest of a single file adds to its name.
const FILE_MANIFEST: &str = ".manifest.json";

/// Whether a manifest is that of a folder, which belongs to one run.
pub(super) fn is_of_folder(key: &Path) -> bool {
    key.filename() == Some(FOLDER_MANIFEST)
}

/// The folder or the single file that a manifest describes, if its name holds the id of the run, so that no other run writes
/// there.
pub(super) fn own(key: &Path, run: Uuid) -> Option<Own> {
    let holds_run = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.contains(&run.to_string()) || name.contains(&run.simple().to_string())
    };
    let key = key.as_ref();
    let folder = key.strip_suffix(FOLDER_MANIFEST).and_then(|folder| folder.strip_suffix('/'));
    let folder = folder.filter(holds_run).map(|folder| Own::Folder(folder.to_owned()));
    folder.or_else(|| {
        let file = key.strip_suffix(FILE_MANIFEST).filter(holds_run)?;
        Some(Own::File(file.to_owned()))
    })
}

/// The text of a manifest.
pub(super) fn write(manifest: &Manifest) -> Result<String, DeliveryError> {
    serde_json::to_string_pretty(manifest)
        .map_err(|error| DeliveryError::with(FailureCode::Internal, "manifest", error))
}

/// Reads a manifest; `None` if there is none of this run.
pub(super) async fn read(store: &Store, key: &Path, run: Uuid) -> Result<Option<Manifest>, DeliveryError> {
    let Some(text) = store.read(key).await? else { return Ok(None) };
    let manifest = serde_json::from_slice::<Manifest>(&text).ok();
    let id = |manifest: &Manifest| manifest.run.rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok());
    Ok(manifest.filter(|manifest| id(manifest) == Some(run)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_run_has_a_name_that_holds_its_id() {
        let run = Uuid::from_u128(7);
        let key = |text: &str| Path::parse(text.replace("RUN", &run.to_string())).expect("a path");
        let folder = Own::Folder(format!("p/export/20261124T060000Z-{run}"));
        assert_eq!(own(&key("p/export/20261124T060000Z-RUN/_SUCCESS.json"), run), Some(folder));
        let file = Own::File(format!("p/{run}.csv.zst"));
        assert_eq!(own(&key("p/RUN.csv.zst.manifest.json"), run), Some(file));
        for other in [
            "p/weekly.csv.manifest.json",
            "_SUCCESS.json",
            "RUN_SUCCESS.json",
            "p/RUN/export/_SUCCESS.json",
            "RUN/a.csv",
        ] {
            assert_eq!(own(&key(other), run), None, "{other}");
        }
        assert!(is_of_folder(&key("p/_SUCCESS.json")) && !is_of_folder(&key("p/RUN.csv.manifest.json")));
    }
}
