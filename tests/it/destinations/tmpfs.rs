//! A small file system that can be filled.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use crate::support::as_root;

/// A file system in memory, unmounted when this is dropped.
pub struct Tmpfs {
    directory: tempfile::TempDir,
}

impl Tmpfs {
    /// Mounts a file system of this many KiB that everybody can write to. Panics if that is not permitted.
    pub fn mount(kibibytes: u32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let options = format!("size={kibibytes}k,mode=1777");
        let mut command = as_root("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory.path());
        let output = command.output().expect("mount can be run");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mounting a small disk: {message}");
        Self { directory }
    }

    /// Fills it with a file that leaves this many KiB, or removes that file.
    pub fn set_full(&self, full: bool, left: u64) {
        let path = self.path().join("filler");
        if !full {
            return std::fs::remove_file(path).expect("removed");
        }
        let mut filler = File::create(path).expect("created");
        let error = std::io::copy(&mut std::io::repeat(0), &mut filler).expect_err("it becomes full");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let bytes = filler.metadata().expect("a file").len();
        filler.set_len(bytes - left * 1024).expect("truncated");
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // The directory cannot be removed while it is mounted.
        let _ = as_root("umount").arg("--lazy").arg(self.directory.path()).status();
    }
}
