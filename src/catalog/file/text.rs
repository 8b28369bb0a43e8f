//! Checks of ids and texts in files.

use toml::Spanned;

use crate::catalog::error::SpannedError;
use crate::model::{is_identifier, limits};

/// Ids of types and auth methods, and keys of fields: `[a-z]([a-z0-9_]{0,61}[a-z0-9])?`.
pub fn check_id(id: &Spanned<String>) -> Result<(), SpannedError> {
    let text = id.get_ref();
    if is_identifier(text) {
        return Ok(());
    }
    Err(SpannedError::new(id, format!("{text:?} must match [a-z]([a-z0-9_]{{0,61}}[a-z0-9])?")))
}

/// Display names of types, auth methods and fields.
pub fn check_display_name(name: &Spanned<String>) -> Result<(), SpannedError> {
    check_prose(name)?;
    if name.get_ref().chars().count() > limits::MAX_DISPLAY_NAME_CHARS {
        return Err(SpannedError::new(
            name,
            format!("must not be longer than {} characters", limits::MAX_DISPLAY_NAME_CHARS),
        ));
    }
    Ok(())
}

/// Texts for people: not empty, and without control characters.
pub fn check_prose(text: &Spanned<String>) -> Result<(), SpannedError> {
    if text.get_ref().trim().is_empty() {
        return Err(SpannedError::new(text, "must not be empty"));
    }
    if text.get_ref().contains(char::is_control) {
        return Err(SpannedError::new(
            text,
            "must not have control characters; a line break in the file is escaped with \\",
        ));
    }
    Ok(())
}
