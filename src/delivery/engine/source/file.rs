//! Source files whose read errors survive the libraries, which turn errors into text.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::delivery::DeliveryError;
use crate::delivery::datasets::{SourceFile, SourceReader};
use crate::model::FailureCode;

/// A source file that remembers the first error of a read.
#[derive(Clone)]
pub struct TrackedFile {
    file: SourceFile,
    error: Arc<Mutex<Option<DeliveryError>>>,
}

/// Reads a source file sequentially.
pub struct TrackedReader {
    reader: SourceReader,
    error: Arc<Mutex<Option<DeliveryError>>>,
}

impl TrackedFile {
    /// A file without errors.
    pub fn new(file: SourceFile) -> Self {
        Self { file, error: Arc::default() }
    }

    /// Reads from `offset` to the end.
    pub fn reader(&self, offset: u64) -> TrackedReader {
        TrackedReader { reader: self.file.reader(offset), error: Arc::clone(&self.error) }
    }

    /// Whether the file starts with `prefix`.
    pub fn starts_with(&self, prefix: &[u8]) -> Result<bool, DeliveryError> {
        if self.file.len() < prefix.len() as u64 {
            return Ok(false);
        }
        Ok(self.file.read_at(0, prefix.len())? == prefix)
    }

    /// The error of a read, or if reads succeeded an error with `code`, because the content is not what it should be.
    pub fn error(&self, code: FailureCode, detail: &str) -> DeliveryError {
        let read_error = self.error.lock().take();
        read_error.unwrap_or_else(|| DeliveryError::new(code, format!("{}: {detail}", self.file)))
    }
}

/// Keeps an error, and returns what the libraries take.
fn remember(error: &Mutex<Option<DeliveryError>>, found: DeliveryError) -> io::Error {
    error.lock().get_or_insert(found);
    io::Error::other("a read of the source failed")
}

impl Length for TrackedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for TrackedFile {
    type T = TrackedReader;

    fn get_read(&self, start: u64) -> Result<TrackedReader, ParquetError> {
        Ok(self.reader(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.file.read_at(start, length).map_err(|found| remember(&self.error, found).into())
    }
}

impl Read for TrackedReader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.reader.read(target).map_err(|cause| match cause.downcast::<DeliveryError>() {
            Ok(found) => remember(&self.error, found),
            Err(cause) => cause,
        })
    }
}
