//! Texts in PEM (RFC 7468): how people have them, and what can be wrong with them before their content is read.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::text::is_file_path;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// Returns a text in PEM with its lines unindented. A text in base64 that contains PEM, as Kubernetes shows it in a Secret,
/// is decoded.
pub(super) fn read(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if !text.contains(BEGIN)
        && let Some(decoded) = decode(text).filter(|decoded| decoded.contains(BEGIN))
    {
        return unindented(&decoded).map(|content| Cow::Owned(content.into_owned()));
    }
    unindented(text)
}

fn unindented(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let text = text.trim();
    check_lines(text)?;
    if text.lines().any(|line| line != line.trim()) {
        return Ok(Cow::Owned(text.lines().map(str::trim).collect::<Vec<_>>().join("\n")));
    }
    Ok(Cow::Borrowed(text))
}

/// Decodes a text in base64, with or without line breaks.
pub(super) fn decode(text: &str) -> Option<Zeroizing<String>> {
    let compact: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    let bytes = STANDARD.decode(compact.as_bytes()).ok()?;
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

/// Finds what is wrong with the lines of a text that must contain a PEM block.
fn check_lines(text: &str) -> Result<(), &'static str> {
    let Some(begin) = text.find(BEGIN) else { return Err(describe(text)) };
    if text[begin..].contains("\\n") {
        return Err("has the two characters \\n instead of line breaks; enter the text with its line breaks");
    }
    let Some(end) = text.rfind(END) else {
        return Err("is cut off: its line -----END …----- is missing");
    };
    if end < begin || text[begin..].matches(BEGIN).count() != text[begin..].matches(END).count() {
        return Err("is cut off: each line -----BEGIN …----- needs its line -----END …-----");
    }
    let is_marker_alone =
        |line: &str| !line.contains("-----") || (line.starts_with("-----") && line.ends_with("-----"));
    let markers_of_one_line = |line: &str| line.matches(BEGIN).count() + line.matches(END).count();
    let lines = || text[begin..].lines().map(str::trim);
    if lines().any(|line| markers_of_one_line(line) > 1 || !is_marker_alone(line)) {
        return Err("has lost its line breaks; enter the text with its line breaks");
    }
    Ok(())
}

/// Says what a text without a PEM block is.
fn describe(text: &str) -> &'static str {
    if is_file_path(text) {
        return "is the path of a file; enter the content of the file";
    }
    if text.starts_with("PuTTY-User-Key-File") {
        return "is a key in the format of PuTTY; convert it with puttygen KEY.ppk -O private-openssh-new -o KEY";
    }
    if text.contains("---- BEGIN SSH2 PUBLIC KEY ----") || text.lines().any(is_public_key) {
        return "is a public key; enter the private key";
    }
    "must be in PEM format, from its line -----BEGIN …----- to its line -----END …-----"
}

/// Whether a line is a public key of SSH, with the options of an authorized_keys file before it or without.
fn is_public_key(line: &str) -> bool {
    let is_algorithm = |word: &str| ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix));
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    words.first().is_some_and(|word| is_algorithm(word))
        || words.windows(2).any(|pair| is_algorithm(pair[0]) && pair[1].starts_with("AAAA"))
}
