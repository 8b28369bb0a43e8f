//! Manifests at an object store.

use object_store::path::Path;
use uuid::Uuid;

use super::store::Store;
use crate::delivery::{DeliveryError, Manifest};
use crate::model::FailureCode;

/// Name of the manifest of a run with several files, in the folder of the run.
const FOLDER_MANIFEST: &str = "_SUCCESS.json";

/// Whether a manifest is that of a folder, which belongs to one run.
pub(super) fn is_of_folder(key: &Path) -> bool {
    key.filename() == Some(FOLDER_MANIFEST)
}

/// The folder of a run, if its manifest is in one. Its name holds the id of the run, so that nothing else is in it.
pub(super) fn folder(key: &Path, run: Uuid) -> Option<Path> {
    let folder = key.as_ref().strip_suffix(FOLDER_MANIFEST)?.strip_suffix('/')?;
    let name = folder.rsplit('/').next()?;
    let is_of_run = name.contains(&run.to_string()) || name.contains(&run.simple().to_string());
    Path::parse(folder).ok().filter(|_| is_of_run)
}

/// The manifest in a folder.
pub(super) fn in_folder(folder: &Path) -> Path {
    folder.clone().join(FOLDER_MANIFEST)
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
    fn only_the_manifest_of_several_files_is_of_a_folder() {
        let run = Uuid::from_u128(7);
        let key = |text: &str| Path::parse(text.replace("RUN", &run.to_string())).expect("a path");
        assert_eq!(
            folder(&key("p/export/20261124T060000Z-RUN/_SUCCESS.json"), run),
            Some(key("p/export/20261124T060000Z-RUN"))
        );
        assert_eq!(in_folder(&key("p/RUN")), key("p/RUN/_SUCCESS.json"));
        for other in ["p/RUN.csv.zst.manifest.json", "_SUCCESS.json", "RUN_SUCCESS.json", "p/RUN/export/_SUCCESS.json"]
        {
            assert_eq!(folder(&key(other), run), None, "{other}");
        }
        assert!(is_of_folder(&key("p/_SUCCESS.json")) && !is_of_folder(&key("p/RUN.csv.manifest.json")));
    }
}
