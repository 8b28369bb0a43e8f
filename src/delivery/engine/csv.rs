//! Encodes rows as CSV (RFC 4180).

use super::column::{BytesText, TextColumn, Values};
use super::settings::CsvSettings;
use super::text::Unencodable;

/// Encodes rows as CSV.
///
/// Null is the text for null without quotes. A value that has the same text, and the empty string, are quoted: a reader
/// that keeps the difference reads back exactly what was written. Otherwise values are quoted if they contain the
/// delimiter, a quote or a line break, or all are, as the settings say.
pub struct CsvEncoder {
    settings: CsvSettings,
    bytes: BytesText,
}

impl CsvEncoder {
    /// An encoder.
    pub fn new(settings: CsvSettings) -> Self {
        let bytes = if settings.for_copy { BytesText::Postgresql } else { BytesText::Base64 };
        Self { settings, bytes }
    }

    /// The bytes at the start of a file: the byte order mark and the names of the fields.
    pub fn file_start(&self, names: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.settings.byte_order_mark {
            out.extend_from_slice("\u{feff}".as_bytes());
        }
        if self.settings.include_header {
            for (index, name) in names.iter().enumerate() {
                if index > 0 {
                    out.push(self.settings.delimiter);
                }
                self.write_string(name.as_bytes(), self.special(name.as_bytes()), &mut out);
            }
            out.extend_from_slice(self.settings.line_ending.as_bytes());
        }
        out
    }

    /// Whether texts, given one after the other, have no character that needs quotes or is refused.
    pub fn are_plain(&self, texts: &[u8]) -> bool {
        !(self.special(texts).quotes || self.settings.for_copy && texts.contains(&0))
    }

    /// Appends a row. An error names the column.
    pub fn row(&self, columns: &[TextColumn], row: usize, out: &mut Vec<u8>) -> Result<(), (usize, Unencodable)> {
        for (index, TextColumn { column, is_plain }) in columns.iter().enumerate() {
            if index > 0 {
                out.push(self.settings.delimiter);
            }
            if column.is_null(row) {
                out.extend_from_slice(self.settings.null_text.as_bytes());
                continue;
            }
            let Values::Text(values) = &column.values else {
                self.write_plain(&column.values, row, out).map_err(|error| (index, error))?;
                continue;
            };
            let value = values.value(row).as_bytes();
            if !is_plain && self.settings.for_copy && value.contains(&0) {
                return Err((index, Unencodable("a text contains NUL, which PostgreSQL cannot store")));
            }
            let special = if *is_plain { Special::default() } else { self.special(value) };
            self.write_string(value, special, out);
        }
        for byte in self.settings.line_ending.bytes() {
            out.push(byte); // takes less time than a call that copies one or two bytes
        }
        Ok(())
    }

    /// Appends a value whose text never contains a delimiter, quote or line break.
    fn write_plain(&self, values: &Values, row: usize, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        if self.settings.quote_all {
            out.push(b'"');
            values.write_text(row, self.bytes, out)?;
            out.push(b'"');
            return Ok(());
        }
        let start = out.len();
        values.write_text(row, self.bytes, out)?;
        // Empty bytes have an empty text.
        if out[start..] == *self.settings.null_text.as_bytes() || out.len() == start {
            out.insert(start, b'"');
            out.push(b'"');
        }
        Ok(())
    }

    fn write_string(&self, value: &[u8], special: Special, out: &mut Vec<u8>) {
        let is_guarded =
            self.settings.formula_guard && matches!(value.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
        if !(special.quotes || self.settings.quote_all || self.is_ambiguous(value, is_guarded)) {
            if is_guarded {
                out.push(b'\'');
            }
            out.extend_from_slice(value);
            return;
        }
        out.push(b'"');
        if is_guarded {
            out.push(b'\'');
        }
        if special.doubles {
            for part in value.split_inclusive(|byte| *byte == b'"') {
                out.extend_from_slice(part);
                if part.ends_with(b"\"") {
                    out.push(b'"');
                }
            }
        } else {
            out.extend_from_slice(value);
        }
        out.push(b'"');
    }

    /// Whether a text without quotes would be read as null, or end the input of COPY.
    fn is_ambiguous(&self, value: &[u8], is_guarded: bool) -> bool {
        let null_text = self.settings.null_text.as_bytes();
        let is_null = if is_guarded { null_text.strip_prefix(b"'") == Some(value) } else { value == null_text };
        value.is_empty() || is_null || self.settings.for_copy && value == b"\\."
    }

    /// Without branches, so that the compiler uses vector instructions.
    #[expect(clippy::needless_bitwise_bool, reason = "lazy operators are branches")]
    fn special(&self, value: &[u8]) -> Special {
        let (mut quotes, mut doubles) = (false, false);
        for byte in value {
            doubles |= *byte == b'"';
            quotes |= (*byte == self.settings.delimiter) | (*byte == b'\n') | (*byte == b'\r');
        }
        Special { quotes: quotes | doubles, doubles }
    }
}

/// What a text contains.
#[derive(Clone, Copy, Default)]
struct Special {
    /// A delimiter, line break or quote.
    quotes: bool,
    /// A quote.
    doubles: bool,
}
