//! Files that only we may read, each written once: keys of the vault and of development identities.
//!
//! Such a file appears whole or not at all: it is written and synced under a hidden name, then linked to its own, which
//! fails if the name is taken. So two processes at once agree on one file, and a crash leaves none that is half written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory of mode 0700 and what is missing above it; one that exists stays as it is.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Writes a file of mode 0600 and syncs it and its directory; `false`, and nothing written, if the name is taken.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<bool> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let hidden = directory.join(format!(".new-{}", uuid::Uuid::new_v4()));
    let linked = write_synced(&hidden, content).and_then(|()| fs::hard_link(&hidden, path));
    let removed = fs::remove_file(&hidden);
    match linked {
        Ok(()) => removed.and_then(|()| File::open(directory)?.sync_all()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
