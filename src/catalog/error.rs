//! Errors of loading the catalog. They name the file and the line, so that an operator can fix it.

use std::path::PathBuf;

/// Why a catalog cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or the directory cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file is not a valid connection type.
    #[error("{file}:{line}: {reason}")]
    Refused {
        /// The file, as the operator named it, or `embedded:<name>`.
        file: String,
        /// The line of the invalid item, counted from 1.
        line: usize,
        /// States what is wrong and what is expected.
        reason: String,
    },
}

/// An error at a byte offset of a text. It becomes a [`CatalogError`] where the name of the file is known.
#[derive(Debug)]
pub(super) struct SpannedError {
    pub(super) offset: usize,
    pub(super) reason: String,
}

impl SpannedError {
    pub(super) fn new<T>(at: &toml::Spanned<T>, reason: impl Into<String>) -> Self {
        Self { offset: at.span().start, reason: reason.into() }
    }

    pub(super) fn in_file(self, file: &str, text: &[u8]) -> CatalogError {
        let before = text.iter().take(self.offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        CatalogError::Refused { file: file.to_owned(), line, reason: self.reason }
    }
}

impl From<toml::de::Error> for SpannedError {
    fn from(error: toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start);
        Self { offset, reason: error.message().trim().replace('\n', ", ") }
    }
}
