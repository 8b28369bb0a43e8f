//! Private files: keys of the vault and of the development identity. Only the owner can read them, and each is written
//! once.
//!
//! A file appears whole or not at all. It is written and synced under a hidden temporary name, then renamed; the rename
//! fails if the name is taken. Concurrent processes therefore agree on one file, and a crash leaves no partial one.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

/// Creates a directory and its missing parents with mode 0700. An existing directory is left as it is.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Writes a file with mode 0600, and syncs it and its directory. Returns `false` and writes nothing if the name is taken.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<bool> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are created with mode 0600, and removed when they are dropped.
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(directory)?.sync_all().map(|()| true),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(failed.error),
    }
}

/// Whether a file can be read by users other than its owner and its group.
pub(crate) fn is_readable_by_others(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_new_file_is_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(write_new(&path, b"first").unwrap());
        assert!(!write_new(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = write_new(&directory.path().join("missing/key"), b"content").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
