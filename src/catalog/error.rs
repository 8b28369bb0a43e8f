//! Why a catalog cannot be loaded.
//!
//! Always with the file, and the line wherever there is one: an operator mends a file, not a program.

use std::path::PathBuf;

/// What stops the start because of the catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file, or the directory of files, cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file says something that a connection type cannot be.
    #[error("{file}:{line}: {reason}")]
    Refused {
        /// The file, as the operator named it, or `embedded:<name>`.
        file: String,
        /// The line of the offending item, from 1.
        line: usize,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// Something wrong at a byte of a file; becomes a [`CatalogError`] where the file is known.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new<T>(at: &toml::Spanned<T>, reason: impl Into<String>) -> Self {
        Self { offset: at.span().start, reason: reason.into() }
    }

    pub(super) fn in_file(self, file: &str, text: &[u8]) -> CatalogError {
        let before = text.iter().take(self.offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        CatalogError::Refused { file: file.to_owned(), line, reason: self.reason }
    }
}

impl From<toml::de::Error> for Fault {
    fn from(error: toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start);
        Self { offset, reason: error.message().trim().replace('\n', ", ") }
    }
}
