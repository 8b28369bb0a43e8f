//! What all formats share: the context of a check, its result, and texts that no format permits.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A value in its normal form, or a description of what is wrong that follows the name of the field: "is a path; …".
pub(super) type Read<'a> = Result<Cow<'a, str>, Cow<'static, str>>;

/// What the check of a value depends on, beside the value. The default has no companion and a time at which nothing is
/// expired.
#[derive(Clone, Copy, Default)]
pub(in crate::catalog) struct Context<'a> {
    /// The current time.
    pub(in crate::catalog) now: DateTime<Utc>,
    /// Whether the format has a companion field in this auth method.
    pub(in crate::catalog) has_companion: bool,
    /// The value of that field, if it is given.
    pub(in crate::catalog) companion: Option<&'a str>,
}

/// Whether a text is the path of a file: people paste it where its content is expected.
pub(super) fn is_file_path(text: &str) -> bool {
    let is_windows = matches!(text.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    text.lines().count() == 1
        && text.len() < 1024
        && (is_windows || ["/", "~/", "./", "../", "file:", "@"].iter().any(|prefix| text.starts_with(prefix)))
}

/// Whether a text has only printable ASCII characters without spaces.
pub(super) fn is_graphic(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads a GUID in any of the spellings of .NET: with or without braces or parentheses, and hyphens.
pub(super) fn parse_guid(text: &str) -> Option<Uuid> {
    let bare = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
    Uuid::parse_str(bare).ok()
}
