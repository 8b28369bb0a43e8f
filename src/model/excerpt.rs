//! Texts of callers in errors and log lines: escaped, so that they cannot change how the line is shown, and truncated.

use std::fmt;

/// The last character of a text that was truncated.
const ELLIPSIS: char = '…';

/// A text whose control characters, line separators and bidirectional controls are escaped: `\n`, `\u{202e}`.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((start, unsafe_char)) = rest.char_indices().find(|(_, character)| is_unsafe(*character)) {
            formatter.write_str(&rest[..start])?;
            write!(formatter, "{}", unsafe_char.escape_default())?;
            rest = &rest[start + unsafe_char.len_utf8()..];
        }
        formatter.write_str(rest)
    }
}

/// The beginning of a text with at most `max_chars` characters, escaped as [`Escaped`] is. A text that was truncated ends
/// with `…`.
pub fn excerpt(text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    let mut chars = 0;
    // Where the text ends if it is longer than permitted.
    let mut end = 0;
    for character in text.chars() {
        let length = if is_unsafe(character) { character.escape_default().count() } else { 1 };
        if chars + length > max_chars {
            shown.truncate(end);
            shown.extend((max_chars > 0).then_some(ELLIPSIS));
            return shown;
        }
        if is_unsafe(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        chars += length;
        if chars < max_chars {
            end = shown.len();
        }
    }
    shown
}

/// Whether a terminal or an editor can act on a character instead of showing it.
pub fn is_unsafe(character: char) -> bool {
    let is_line_separator = matches!(character, '\u{2028}' | '\u{2029}');
    // The characters with the property Bidi_Control (Unicode Standard Annex #9, section 2).
    let is_bidi =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || is_line_separator || is_bidi
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A character of each kind that is escaped.
    const UNSAFE: [(&str, &str); 8] = [
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\0", "\\u{0}"),
        ("\u{1b}[31m", "\\u{1b}[31m"),
        ("\u{7f}", "\\u{7f}"),
        ("\u{9b}2J", "\\u{9b}2J"),
        ("\u{2028}", "\\u{2028}"),
        ("\u{202e}", "\\u{202e}"),
    ];

    #[test]
    fn characters_that_change_how_a_line_is_shown_are_escaped() {
        for (text, expected) in UNSAFE {
            assert_eq!(Escaped(&format!("ä{text}b")).to_string(), format!("ä{expected}b"));
            assert_eq!(excerpt(text, 20), expected);
        }
        for text in ["", "a \"b\" \\n", "Zürich 🦀 日本"] {
            assert_eq!(Escaped(text).to_string(), text);
            assert_eq!(excerpt(text, 20), text);
        }
    }

    #[test]
    fn an_excerpt_is_truncated_at_a_character() {
        assert_eq!(excerpt("äöü", 3), "äöü");
        assert_eq!(excerpt("äöüß", 3), "äö…");
        assert_eq!(excerpt("🦀🦀", 1), "…");
        assert_eq!(excerpt("a", 0), "");
        assert_eq!(excerpt("a\n", 3), "a\\n");
        assert_eq!(excerpt("ab\n", 3), "ab…", "an escape is not cut");
        for (text, _) in UNSAFE {
            let shown = excerpt(&text.repeat(100), 100);
            assert!(shown.chars().count() <= 100 && shown.ends_with('…') && !shown.contains(is_unsafe), "{shown}");
        }
    }
}
