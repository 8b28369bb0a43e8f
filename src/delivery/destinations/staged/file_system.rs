//! The operations on a directory that a delivery needs.

use bytes::Bytes;

use crate::delivery::DeliveryError;

/// A directory, local or remote. Paths are relative to it, with segments separated by `/`. One file at a time can be
/// written.
#[async_trait::async_trait]
pub trait FileSystem: Send {
    /// What the names of staged files begin with.
    const STAGED_PREFIX: &'static str;

    /// Creates a folder in an existing one. Returns `false` if it exists.
    async fn create_folder(&mut self, path: &str) -> Result<bool, DeliveryError>;

    /// Creates a file, which replaces an existing one, and opens it for writing.
    async fn create_file(&mut self, path: &str) -> Result<(), DeliveryError>;

    /// Appends to the open file. Errors of earlier appends may be returned.
    async fn append(&mut self, bytes: Bytes) -> Result<(), DeliveryError>;

    /// Writes the open file to durable storage, as far as that is possible, and closes it.
    async fn finish_file(&mut self) -> Result<(), DeliveryError>;

    /// Closes the open file, if there is one, and ignores errors.
    async fn discard_file(&mut self);

    /// Renames a file, and replaces an existing one atomically. If that is not possible, an existing file is removed first
    /// if `removable` permits it, and else the rename fails.
    async fn rename(&mut self, from: &str, to: &str, removable: bool) -> Result<(), DeliveryError>;

    /// Makes renames in a folder durable, as far as that is possible.
    async fn sync_folder(&mut self, path: &str) -> Result<(), DeliveryError>;

    /// Removes a file, if it exists.
    async fn remove_file(&mut self, path: &str) -> Result<(), DeliveryError>;

    /// Removes an empty folder.
    async fn remove_folder(&mut self, path: &str) -> Result<(), DeliveryError>;

    /// The entries of a folder; none if it does not exist.
    async fn list(&mut self, path: &str) -> Result<Vec<Entry>, DeliveryError>;

    /// The content of a file; `None` if it does not exist or has more than `max_bytes`.
    async fn read(&mut self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, DeliveryError>;
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder; a link is none.
    pub is_folder: bool,
}
