//! A local directory as a file system of a delivery. All operations run on blocking threads.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::delivery::DeliveryError;
use crate::delivery::destinations::staged::{Entry, FileSystem};
use crate::model::FailureCode;

/// Mode of new files; the umask of the process applies.
const FILE_MODE: u32 = 0o640;
/// Mode of new directories; the umask of the process applies.
const DIRECTORY_MODE: u32 = 0o750;
/// Maximum duration of an operation. A mounted share that is gone can block for ever; the thread is then left behind.
const OPERATION_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum duration of writing a complete file to durable storage.
const SYNC_TIMEOUT: Duration = Duration::from_mins(10);
/// Maximum number of operations at once, of all runs and tests. Each occupies a thread, also after its timeout.
static OPERATIONS: Semaphore = Semaphore::const_new(128);
/// Maximum number of bytes of one write.
const WRITE_BYTES: usize = 1 << 20;

/// The directory of an organization below the root.
pub struct LocalFiles {
    scope: Scope,
    open: Option<OpenFile>,
}

/// What the paths of an organization may lead to.
#[derive(Clone)]
struct Scope {
    /// The root, without links.
    root: PathBuf,
    /// The directory of the organization; nothing outside of it is accessed.
    organization: PathBuf,
}

struct OpenFile {
    file: File,
    path: PathBuf,
}

impl LocalFiles {
    /// Opens the root, which must exist.
    pub async fn open(root: &Path, organization: &str) -> Result<Self, DeliveryError> {
        let (root, organization) = (root.to_owned(), organization.to_owned());
        let find = move || {
            let root = fs::canonicalize(&root).map_err(|error| failed("find", &root, &error))?;
            Ok(Scope { organization: root.join(organization), root })
        };
        Ok(Self { scope: blocking(OPERATION_TIMEOUT, find).await?, open: None })
    }

    /// Runs an operation on the path of a file or folder. Links on the way to it are followed only within the organization;
    /// `None`: the folder that should contain it does not exist.
    async fn within<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(&Scope, Option<PathBuf>) -> Result<T, DeliveryError> + Send + 'static,
    ) -> Result<T, DeliveryError> {
        let (scope, path) = (self.scope.clone(), path.to_owned());
        blocking(OPERATION_TIMEOUT, move || {
            let found = scope.find(&path)?;
            work(&scope, found)
        })
        .await
    }
}

impl Scope {
    /// The place of a path: its folder with links resolved, and its name. `None` if the folder does not exist.
    fn find(&self, path: &str) -> Result<Option<PathBuf>, DeliveryError> {
        let full = self.root.join(path);
        let (Some(folder), Some(name)) = (full.parent(), full.file_name()) else { return Ok(Some(full)) };
        match fs::canonicalize(folder) {
            // The directory of the organization itself is the only entry of the root.
            Ok(found) if found == self.root && full == self.organization => Ok(Some(full)),
            Ok(found) => self.verify(&found).map(|()| Some(found.join(name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("find", folder, &error)),
        }
    }

    /// Verifies that a path without links lies in the directory of the organization.
    fn verify(&self, found: &Path) -> Result<(), DeliveryError> {
        if found.starts_with(&self.organization) {
            return Ok(());
        }
        let detail = format!("{} is reached by a link and lies outside of the directory", found.display());
        Err(DeliveryError::new(FailureCode::DestinationDenied, detail))
    }
}

#[async_trait::async_trait]
impl FileSystem for LocalFiles {
    const STAGED_PREFIX: &'static str = ".";

    async fn create_folder(&mut self, path: &str) -> Result<bool, DeliveryError> {
        self.within(path, |scope, path| {
            let path = existing(path)?;
            match DirBuilder::new().mode(DIRECTORY_MODE).create(&path) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("create", &path, &error)),
            }
            let found = fs::canonicalize(&path).map_err(|error| failed("find", &path, &error))?;
            scope.verify(&found)?;
            if !found.is_dir() {
                return Err(failed("create", &path, &io::ErrorKind::NotADirectory.into()));
            }
            Ok(false)
        })
        .await
    }

    async fn create_file(&mut self, path: &str) -> Result<(), DeliveryError> {
        self.open = None;
        let create = |_: &Scope, path: Option<PathBuf>| {
            let path = existing(path)?;
            remove(&path)?;
            // Fails instead of following a link.
            let created = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path);
            let file = created.map_err(|error| failed("create", &path, &error))?;
            Ok(OpenFile { file, path })
        };
        self.open = Some(self.within(path, create).await?);
        Ok(())
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), DeliveryError> {
        for start in (0..bytes.len()).step_by(WRITE_BYTES) {
            let piece = bytes.slice(start..bytes.len().min(start + WRITE_BYTES));
            let mut open = self.open.take().ok_or_else(no_file)?;
            let write = move || match open.file.write_all(&piece) {
                Ok(()) => Ok(open),
                Err(error) => Err(failed("write", &open.path, &error)),
            };
            self.open = Some(blocking(OPERATION_TIMEOUT, write).await?);
        }
        Ok(())
    }

    async fn finish_file(&mut self) -> Result<(), DeliveryError> {
        let open = self.open.take().ok_or_else(no_file)?;
        let sync = move || open.file.sync_all().map_err(|error| failed("write", &open.path, &error));
        blocking(SYNC_TIMEOUT, sync).await
    }

    async fn discard_file(&mut self) {
        self.open = None;
    }

    async fn rename(&mut self, from: &str, to: &str, _: bool) -> Result<(), DeliveryError> {
        let scope = self.scope.clone();
        let (from, to) = (from.to_owned(), to.to_owned());
        blocking(OPERATION_TIMEOUT, move || {
            let (from, to) = (existing(scope.find(&from)?)?, existing(scope.find(&to)?)?);
            fs::rename(&from, &to).map_err(|error| failed("rename to", &to, &error))
        })
        .await
    }

    async fn sync_folder(&mut self, path: &str) -> Result<(), DeliveryError> {
        let path = self.scope.root.join(path);
        let sync = move || {
            let synced = File::open(&path).and_then(|folder| folder.sync_all());
            synced.map_err(|error| failed("write", &path, &error))
        };
        blocking(SYNC_TIMEOUT, sync).await
    }

    async fn remove_file(&mut self, path: &str) -> Result<(), DeliveryError> {
        self.within(path, |_, path| path.map_or(Ok(()), |path| remove(&path))).await
    }

    async fn remove_folder(&mut self, path: &str) -> Result<(), DeliveryError> {
        self.within(path, |_, path| {
            let path = existing(path)?;
            fs::remove_dir(&path).map_err(|error| failed("remove", &path, &error))
        })
        .await
    }

    async fn list(&mut self, path: &str) -> Result<Vec<Entry>, DeliveryError> {
        self.within(path, |scope, path| {
            let Some(path) = path else { return Ok(Vec::new()) };
            match fs::canonicalize(&path) {
                Ok(found) => scope.verify(&found)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(failed("list", &path, &error)),
            }
            let entries = fs::read_dir(&path).and_then(|entries| entries.map(entry).collect());
            entries.map_err(|error| failed("list", &path, &error))
        })
        .await
    }

    async fn read(&mut self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, DeliveryError> {
        self.within(path, move |_, path| {
            let Some(path) = path else { return Ok(None) };
            // The content of a link's target is not read.
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_file() => {}
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed("read", &path, &error)),
            }
            let mut content = Vec::new();
            let limit = max_bytes as u64 + 1;
            let read = File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut content));
            read.map_err(|error| failed("read", &path, &error))?;
            Ok(Some(content).filter(|content| content.len() <= max_bytes))
        })
        .await
    }
}

fn entry(entry: io::Result<fs::DirEntry>) -> io::Result<Entry> {
    let entry = entry?;
    let is_folder = entry.file_type()?.is_dir();
    Ok(Entry { name: entry.file_name().to_string_lossy().into_owned(), is_folder })
}

fn remove(path: &Path) -> Result<(), DeliveryError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn existing(path: Option<PathBuf>) -> Result<PathBuf, DeliveryError> {
    path.ok_or_else(|| DeliveryError::new(FailureCode::DestinationUnreachable, "a directory was removed meanwhile"))
}

fn no_file() -> DeliveryError {
    DeliveryError::new(FailureCode::Internal, "no file is open")
}

/// Runs blocking file operations with a timeout.
async fn blocking<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> Result<T, DeliveryError> + Send + 'static,
) -> Result<T, DeliveryError> {
    let work = async {
        let permit = OPERATIONS.acquire().await.map_err(io::Error::other)?;
        let work = move || {
            // A timeout does not end the operation, so the operation holds the permit.
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
    };
    match tokio::time::timeout(timeout, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(DeliveryError::with(FailureCode::Internal, "a file operation", error)),
        Err(_) => {
            let detail = format!("a file operation took longer than {} s", timeout.as_secs());
            Err(DeliveryError::new(FailureCode::DestinationUnreachable, detail))
        }
    }
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> DeliveryError {
    DeliveryError::with(code(error.kind()), &format!("cannot {doing} {}", path.display()), error)
}

fn code(kind: io::ErrorKind) -> FailureCode {
    use io::ErrorKind::{
        FileTooLarge, InvalidFilename, IsADirectory, NotADirectory, PermissionDenied, QuotaExceeded,
        ReadOnlyFilesystem, StorageFull,
    };
    if matches!(kind, StorageFull | QuotaExceeded) {
        FailureCode::DestinationFull
    } else if matches!(kind, PermissionDenied | ReadOnlyFilesystem) {
        FailureCode::DestinationDenied
    } else if matches!(kind, FileTooLarge | InvalidFilename | IsADirectory | NotADirectory) {
        FailureCode::DestinationRefused
    } else {
        // Missing directories and I/O errors: a share may be mounted again later.
        FailureCode::DestinationUnreachable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn files(root: &Path) -> LocalFiles {
        fs::create_dir(root.join("acme")).unwrap();
        LocalFiles::open(root, "acme").await.unwrap()
    }

    #[tokio::test]
    async fn a_full_disk_is_recognized() {
        let root = tempfile::tempdir().unwrap();
        let mut files = files(root.path()).await;
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        files.open = Some(OpenFile { file, path: "/dev/full".into() });
        let error = files.append(Bytes::from_static(b"row")).await.unwrap_err();
        assert_eq!(error.code, FailureCode::DestinationFull, "{error}");
        assert_eq!(code(io::Error::from_raw_os_error(122).kind()), FailureCode::DestinationFull, "EDQUOT");
        assert_eq!(code(io::Error::from_raw_os_error(30).kind()), FailureCode::DestinationDenied, "EROFS");
    }

    #[tokio::test]
    async fn links_are_followed_within_the_directory_of_the_organization_only() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut files = files(root.path()).await;
        fs::write(other.path().join("secret"), "content").unwrap();
        let acme = root.path().join("acme");
        std::os::unix::fs::symlink(other.path(), acme.join("out")).unwrap();
        std::os::unix::fs::symlink(other.path().join("secret"), acme.join("file")).unwrap();
        fs::create_dir(acme.join("target")).unwrap();
        std::os::unix::fs::symlink("target", acme.join("in")).unwrap();

        assert_eq!(files.create_folder("acme/out").await.unwrap_err().code, FailureCode::DestinationDenied);
        assert_eq!(files.create_file("acme/out/new").await.unwrap_err().code, FailureCode::DestinationDenied);
        assert_eq!(files.remove_file("acme/out/secret").await.unwrap_err().code, FailureCode::DestinationDenied);
        assert_eq!(files.list("acme/out").await.unwrap_err().code, FailureCode::DestinationDenied);
        assert_eq!(files.read("acme/out/secret", 100).await.unwrap_err().code, FailureCode::DestinationDenied);
        assert_eq!(files.read("acme/file", 100).await.unwrap(), None);
        files.create_file("acme/file").await.unwrap();
        assert_eq!(fs::read_to_string(other.path().join("secret")).unwrap(), "content", "the link was replaced");

        assert!(!files.create_folder("acme/in").await.unwrap());
        files.create_file("acme/in/new").await.unwrap();
        assert!(acme.join("target/new").exists());
    }

    #[tokio::test]
    async fn a_link_in_place_of_the_directory_of_the_organization_is_refused() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(other.path(), root.path().join("acme")).unwrap();
        let mut files = LocalFiles::open(root.path(), "acme").await.unwrap();
        assert_eq!(files.create_folder("acme").await.unwrap_err().code, FailureCode::DestinationDenied);
        assert_eq!(files.create_file("acme/new").await.unwrap_err().code, FailureCode::DestinationDenied);
        assert_eq!(files.create_file("other/new").await.unwrap_err().code, FailureCode::DestinationUnreachable);
    }
}
