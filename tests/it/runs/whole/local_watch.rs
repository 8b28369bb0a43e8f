//! Tells when a delivery to a local directory has reached a point.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::far_side::{Interruption, Point};

/// Watches the files below a directory.
pub struct LocalWatch {
    directory: PathBuf,
    goal: Mutex<Goal>,
    released: Arc<AtomicBool>,
}

#[derive(Clone, Default)]
enum Goal {
    #[default]
    Never,
    /// So many bytes are staged.
    Staged(u64),
    /// The manifest is staged.
    ManifestStaged,
    /// A file was renamed: there is one that was not there before.
    Renamed(BTreeMap<String, u64>),
}

impl LocalWatch {
    /// Watches a directory, which need not exist.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, goal: Mutex::default(), released: Arc::default() }
    }
}

#[async_trait]
impl Interruption for LocalWatch {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
    fn arm(&self, point: Option<Point>, total: u64) {
        *self.goal.lock() = match point {
            None => Goal::Never,
            Some(Point::Anywhere(share)) => Goal::Staged((total as f64 * share) as u64),
            Some(Point::Commit(share)) if share < 0.25 => Goal::Staged(total),
            Some(Point::Commit(share)) if share < 0.5 => Goal::ManifestStaged,
            Some(Point::Commit(_)) => Goal::Renamed(inodes(&self.directory)),
        };
        self.released.store(false, Ordering::SeqCst);
    }

    async fn reached(&self) {
        let (directory, goal, released) =
            (self.directory.clone(), self.goal.lock().clone(), Arc::clone(&self.released));
        let watching = tokio::task::spawn_blocking(move || {
            while !released.load(Ordering::SeqCst) {
                if is_reached(&goal, &directory) {
                    return true;
                }
                std::thread::yield_now();
            }
            false
        });
        if !watching.await.expect("it does not panic") {
            std::future::pending::<()>().await;
        }
    }

    fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
    }

    /// Nothing is held.
    fn resume(&self) {
        self.release();
    }

    fn counted(&self) -> Option<u64> {
        None
    }
}

fn is_reached(goal: &Goal, directory: &std::path::Path) -> bool {
    let is_staged = |path: &str| path.contains(".part-");
    match goal {
        Goal::Never => false,
        Goal::Staged(bytes) => {
            let staged = entries(directory).into_iter().filter(|(path, _)| is_staged(path));
            staged.map(|(_, metadata)| metadata.len()).sum::<u64>() >= (*bytes).max(1)
        }
        Goal::ManifestStaged => entries(directory).iter().any(|(path, _)| is_staged(path) && path.contains(".json.")),
        Goal::Renamed(before) => {
            let found = inodes(directory);
            found.iter().any(|(path, inode)| !is_staged(path) && before.get(path) != Some(inode))
        }
    }
}

fn inodes(directory: &std::path::Path) -> BTreeMap<String, u64> {
    entries(directory).into_iter().map(|(path, metadata)| (path, metadata.ino())).collect()
}

/// The files below a directory. Those that disappear meanwhile are left out.
fn entries(directory: &std::path::Path) -> Vec<(String, std::fs::Metadata)> {
    let (mut found, mut folders) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                found.push((entry.path().to_string_lossy().into_owned(), metadata));
            }
        }
    }
    found
}
