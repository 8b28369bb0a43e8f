//! Checks ids, texts and patterns in the files of connection types.

use toml::Spanned;

use crate::catalog::error::SpannedError;
use crate::catalog::spec::Pattern;
use crate::model::{is_identifier, limits};

/// Bytes of an article.
const MAX_ARTICLE_BYTES: usize = 8 * 1024;

/// Checks the id of a type or auth method, or the key of a field: `[a-z]([a-z0-9_]{0,61}[a-z0-9])?`.
pub fn check_id(id: &Spanned<String>) -> Result<(), SpannedError> {
    let text = id.get_ref();
    if is_identifier(text) {
        return Ok(());
    }
    Err(SpannedError::new(id, format!("{text:?} must match [a-z]([a-z0-9_]{{0,61}}[a-z0-9])?")))
}

/// Checks the display name of a type, auth method or field.
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

/// Checks a text that people read. It must not be empty or contain control characters.
pub fn check_prose(text: &Spanned<String>) -> Result<(), SpannedError> {
    if text.get_ref().trim().is_empty() {
        return Err(SpannedError::new(text, "must not be empty"));
    }
    if text.get_ref().contains(char::is_control) {
        return Err(SpannedError::new(
            text,
            "must not contain control characters; end the lines of a multi-line string with \\",
        ));
    }
    Ok(())
}

/// Checks the article of a type: Markdown of limited size.
pub fn check_article(article: &Spanned<String>) -> Result<(), SpannedError> {
    let text = article.get_ref();
    if text.trim().is_empty() {
        return Err(SpannedError::new(article, "must not be empty"));
    }
    if text.len() > MAX_ARTICLE_BYTES {
        return Err(SpannedError::new(article, format!("must not be longer than {MAX_ARTICLE_BYTES} bytes")));
    }
    if text.contains(|found: char| found.is_control() && !matches!(found, '\n' | '\t')) {
        return Err(SpannedError::new(article, "must not contain control characters except line breaks and tabs"));
    }
    Ok(())
}

/// Compiles a pattern. The hint says in words what it permits.
pub fn read_pattern(source: &Spanned<String>, hint: &str) -> Result<Pattern, SpannedError> {
    Pattern::new(source.get_ref(), hint).map_err(|error| {
        // The last line of the error of `regex` states the cause.
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        SpannedError::new(source, format!("pattern is not a valid regular expression: {reason}"))
    })
}
