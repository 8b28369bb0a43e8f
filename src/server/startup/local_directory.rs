//! The root of local directories.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::config::LocalDirectoryRoot;
use crate::server::error::StartError;

/// Files and directories that deliveries must not overwrite or add to.
pub struct Protected<'a> {
    /// Single files, such as the database.
    pub files: Vec<&'a Path>,
    /// Directories with all their content, such as that of the keys and those of datasets.
    pub directories: Vec<&'a Path>,
}

/// Refuses a root that contains a protected file or directory, or lies in a protected directory. Creates the root of the
/// embedded default.
pub fn prepare(root: &LocalDirectoryRoot, protected: &Protected<'_>) -> Result<(), StartError> {
    let failed = |error| StartError::LocalDirectory(root.path().to_owned(), error);
    let resolved = resolve(root.path()).map_err(failed)?;
    for path in protected.files.iter().chain(&protected.directories) {
        if resolve(path).map_err(failed)?.starts_with(&resolved) {
            return Err(failed(io::Error::other(format!("it contains {}", path.display()))));
        }
    }
    for path in &protected.directories {
        if resolved.starts_with(resolve(path).map_err(failed)?) {
            return Err(failed(io::Error::other(format!("it lies in {}", path.display()))));
        }
    }
    if let LocalDirectoryRoot::Embedded(path) = root {
        DirBuilder::new().recursive(true).mode(0o750).create(path).map_err(failed)?;
    }
    if fs::metadata(root.path()).map_err(failed)?.is_dir() {
        Ok(())
    } else {
        Err(failed(io::ErrorKind::NotADirectory.into()))
    }
}

/// The path without links; the part of it that does not exist is kept.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for existing in path.ancestors() {
        if let Ok(found) = fs::canonicalize(existing) {
            let rest = path.strip_prefix(existing).map_err(io::Error::other)?;
            return Ok(if rest.as_os_str().is_empty() { found } else { found.join(rest) });
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(root: &Path, files: &[&Path], directories: &[&Path]) -> Result<(), String> {
        let protected = Protected { files: files.to_vec(), directories: directories.to_vec() };
        let result = prepare(&LocalDirectoryRoot::Configured(root.to_owned()), &protected);
        result.map_err(|error| std::error::Error::source(&error).unwrap().to_string())
    }

    #[test]
    fn a_root_apart_from_protected_paths_is_accepted_and_the_embedded_one_is_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("out")).unwrap();
        let (database, keys) = (path("outflow.db"), path("keys"));
        assert_eq!(check(&path("out"), &[&database], &[&keys]), Ok(()));
        let protected = Protected { files: vec![&database], directories: vec![&keys] };
        prepare(&LocalDirectoryRoot::Embedded(path("data/outbox")), &protected).unwrap();
        assert!(path("data/outbox").is_dir());
    }

    #[test]
    fn a_root_that_overlaps_protected_paths_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("keys/below")).unwrap();
        fs::write(path("outflow.db"), "").unwrap();
        std::os::unix::fs::symlink(path("keys"), path("link")).unwrap();
        let (database, keys) = (path("outflow.db"), path("keys"));
        let contains = |protected: &Path| Err(format!("it contains {}", protected.display()));
        assert_eq!(check(folder.path(), &[&database], &[&keys]), contains(&database));
        assert_eq!(check(folder.path(), &[], &[&keys]), contains(&keys));
        assert_eq!(check(&keys, &[], &[&keys]), contains(&keys));
        assert_eq!(check(&path("link"), &[], &[&keys]), contains(&keys), "through a link");
        assert_eq!(check(&path("keys/below"), &[], &[&keys]), Err(format!("it lies in {}", keys.display())));
        assert_eq!(check(folder.path(), &[&path("missing/file")], &[]), contains(&path("missing/file")));
    }

    #[test]
    fn a_configured_root_must_be_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(check(&file, &[], &[]).unwrap_err().contains("not a directory"));
        assert!(check(&folder.path().join("missing"), &[], &[]).unwrap_err().contains("No such file"));
    }
}
