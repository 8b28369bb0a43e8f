//! What can be wrong with a text in PEM (RFC 7468) before its content is read.

use super::text::is_file_path;

/// Finds what is wrong with the lines of a text that must contain a PEM block.
pub(super) fn check_lines(text: &str) -> Result<(), &'static str> {
    if is_file_path(text) {
        return Err("is the path of a file; enter the content of the file");
    }
    if text.starts_with("PuTTY-User-Key-File") {
        return Err("is a key in the format of PuTTY; convert it with puttygen KEY.ppk -O private-openssh-new -o KEY");
    }
    if ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err("is the public key; enter the private key");
    }
    let Some(begin) = text.find("-----BEGIN ") else {
        return Err("must be in PEM format, from its line -----BEGIN …----- to its line -----END …-----");
    };
    if text[begin..].contains("\\n") {
        return Err("has the two characters \\n instead of line breaks; enter the text with its line breaks");
    }
    let Some(end) = text.rfind("-----END ") else {
        return Err("is cut off: its line -----END …----- is missing");
    };
    if end < begin || text[begin..].matches("-----BEGIN ").count() != text[begin..].matches("-----END ").count() {
        return Err("is cut off: each line -----BEGIN …----- needs its line -----END …-----");
    }
    let is_marker_alone =
        |line: &str| !line.contains("-----") || (line.starts_with("-----") && line.ends_with("-----"));
    let markers_of_one_line = |line: &str| line.matches("-----BEGIN ").count() + line.matches("-----END ").count();
    let lines = || text[begin..].lines().map(str::trim);
    if lines().any(|line| markers_of_one_line(line) > 1 || !is_marker_alone(line)) {
        return Err("has lost its line breaks; enter the text with its line breaks");
    }
    Ok(())
}
