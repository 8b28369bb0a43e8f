//! What earlier attempts left in a directory: a result, or files to remove.

use super::file_system::FileSystem;
use super::names::{Names, SavedAttempt, join};
use crate::delivery::{DeliveryError, Manifest};

/// Maximum number of bytes of a manifest that is read; a larger file is treated as if it did not exist.
const MAX_MANIFEST_BYTES: usize = 16 << 20;
/// Maximum number of folders in the folder of a run: one per table, and itself.
const MAX_RUN_FOLDERS: usize = 10_000;

/// Removes the staged files of a run that has ended, unless its result is there.
pub async fn remove_staged<F: FileSystem>(mut files: F, saved: &str) -> Result<(), DeliveryError> {
    let names = Names::new(F::STAGED_PREFIX, &SavedAttempt::decode(saved)?)?;
    match find_manifest(&mut files, &names).await? {
        Some(_) => Ok(()),
        None => remove_remains(&mut files, &names).await,
    }
}

/// Removes what attempts of a run left under names that no other attempt will use: also its folder, and a file that became
/// visible without its manifest if its name holds the run.
pub async fn remove_remains(files: &mut impl FileSystem, names: &Names) -> Result<(), DeliveryError> {
    remove_earlier(files, names).await?;
    if let Some(path) = names.single_file().filter(|path| names.holds_run(path)) {
        files.remove_file(path).await?;
    }
    if let Some(folder) = names.run_folder() {
        // The attempt may have removed it, or not have created it.
        let _ = files.remove_folder(folder).await;
    }
    Ok(())
}

/// The manifest of the run, if its result is there.
pub async fn find_manifest(files: &mut impl FileSystem, names: &Names) -> Result<Option<Manifest>, DeliveryError> {
    let manifest = files.read(&names.manifest, MAX_MANIFEST_BYTES).await?;
    let manifest = manifest.and_then(|content| serde_json::from_slice::<Manifest>(&content).ok());
    Ok(manifest.filter(|manifest| names.is_of_run(manifest)))
}

/// Removes what this and earlier attempts of a run left.
pub async fn remove_earlier(files: &mut impl FileSystem, names: &Names) -> Result<(), DeliveryError> {
    for path in names.earlier_staged() {
        files.remove_file(&path).await?;
    }
    match names.run_folder() {
        Some(folder) => remove_content(files, folder).await,
        None => Ok(()),
    }
}

/// Removes all files of a folder and of the folders in it.
async fn remove_content(files: &mut impl FileSystem, folder: &str) -> Result<(), DeliveryError> {
    let mut folders = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        for entry in files.list(&folder).await? {
            let path = join(&folder, &entry.name);
            if !entry.is_folder {
                files.remove_file(&path).await?;
            } else if folders.len() < MAX_RUN_FOLDERS {
                folders.push(path);
            }
        }
        next += 1;
    }
    for folder in folders.iter().skip(1).rev() {
        files.remove_folder(folder).await?;
    }
    Ok(())
}
