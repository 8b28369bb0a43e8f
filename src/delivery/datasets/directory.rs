//! Lists the files of an organization in a directory.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use super::listing::{FoundFile, MAX_FILES};
use super::source_file::{FileIdentity, SourceFile};
use crate::delivery::DeliveryError;
use crate::model::{FailureCode, OrganizationId};

/// A directory with a folder per organization.
#[derive(Clone, Debug)]
pub struct DirectorySource {
    location: PathBuf,
}

impl DirectorySource {
    pub fn new(location: &str) -> Self {
        Self { location: PathBuf::from(location) }
    }

    /// The files in the folder of an organization, and in its folders. It blocks.
    ///
    /// A symbolic link is followed only if it leads to a file or folder below the location. An organization without a
    /// folder has no files.
    pub fn list(
        &self,
        organization: &OrganizationId,
        handles: &Arc<Semaphore>,
    ) -> Result<Vec<FoundFile>, DeliveryError> {
        let listing = Listing { root: self.root()?, handles };
        let folder = listing.root.join(organization.as_str());
        listing.read(&folder).map_err(|cause| unavailable(&folder, &cause))
    }

    fn root(&self) -> Result<PathBuf, DeliveryError> {
        fs::canonicalize(&self.location).map_err(|cause| unavailable(&self.location, &cause))
    }
}

fn unavailable(path: &Path, cause: &io::Error) -> DeliveryError {
    DeliveryError::with(FailureCode::DatasetUnavailable, &format!("cannot list {}", path.display()), cause)
}

struct Listing<'a> {
    /// The location, without symbolic links.
    root: PathBuf,
    handles: &'a Arc<Semaphore>,
}

impl Listing<'_> {
    fn read(&self, folder: &Path) -> io::Result<Vec<FoundFile>> {
        let (mut found, mut folders) = (Vec::new(), Vec::new());
        for (name, path, metadata) in self.entries(folder)? {
            if metadata.is_dir() {
                folders.push((name, path));
            } else {
                self.add(&mut found, None, name, path, &metadata)?;
            }
        }
        for (folder, path) in folders {
            for (name, path, metadata) in self.entries(&path)? {
                if !metadata.is_dir() {
                    self.add(&mut found, Some(folder.clone()), name, path, &metadata)?;
                }
            }
        }
        Ok(found)
    }

    /// The entries of a folder below the location: name, path without symbolic links, metadata. Hidden entries, those whose
    /// names are not UTF-8, and those that are removed meanwhile are left out.
    fn entries(&self, folder: &Path) -> io::Result<Vec<(String, PathBuf, Metadata)>> {
        let Some(folder) = self.resolve(folder)? else { return Ok(Vec::new()) };
        let Some(found) = present(fs::read_dir(folder))? else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        for entry in found {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let resolved = match self.resolve(&entry.path()) {
                // A link that leads nowhere, or in a circle.
                Err(_) if entry.file_type()?.is_symlink() => None,
                resolved => resolved?,
            };
            let Some(path) = resolved else { continue };
            let Some(metadata) = present(fs::symlink_metadata(&path))? else { continue };
            if metadata.is_file() || metadata.is_dir() {
                entries.push((name, path, metadata));
            }
            if entries.len() > MAX_FILES {
                return Err(too_many());
            }
        }
        Ok(entries)
    }

    /// The path without symbolic links; `None` if it does not exist or is not below the location.
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let Some(resolved) = present(fs::canonicalize(path))? else { return Ok(None) };
        if resolved.starts_with(&self.root) {
            return Ok(Some(resolved));
        }
        tracing::debug!(path = %path.display(), "ignored a link that leaves the location of the datasets");
        Ok(None)
    }

    fn add(
        &self,
        found: &mut Vec<FoundFile>,
        folder: Option<String>,
        name: String,
        path: PathBuf,
        metadata: &Metadata,
    ) -> io::Result<()> {
        if found.len() == MAX_FILES {
            return Err(too_many());
        }
        let file = SourceFile::local(path, FileIdentity::of(metadata), Arc::clone(self.handles));
        let modified = metadata.modified().ok().map(DateTime::<Utc>::from);
        found.push(FoundFile { folder, name, file, modified });
        Ok(())
    }
}

fn too_many() -> io::Error {
    io::Error::other("the folder has more than 20,000 files")
}

/// `None` instead of the error that there is nothing of that name.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
