//! Encodes rows as JSON Lines.

use super::column::{BytesText, TextColumn, Values};
use super::text::{Unencodable, float};

/// Encodes each row as an object on a line that ends with a line feed.
///
/// Every field is present, null as `null`. Integers and floating-point numbers are numbers with all their digits;
/// decimals are strings, because most readers would make them inexact; bytes are strings in Base64; dates, times and
/// timestamps are strings. JSON has no NaN and no infinity: they are errors, or strings if the lines only show what a
/// file of another format has.
pub struct JsonEncoder {
    /// What comes before each value, such as `,"name":`.
    keys: Vec<Vec<u8>>,
    shows_other_format: bool,
}

impl JsonEncoder {
    /// An encoder for fields with these names.
    pub fn new(names: &[String], shows_other_format: bool) -> Self {
        let key = |(index, name): (usize, &String)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            write_string(name, are_plain(name.as_bytes()), &mut key);
            key.push(b':');
            key
        };
        Self { keys: names.iter().enumerate().map(key).collect(), shows_other_format }
    }

    /// Appends a row. An error names the column.
    pub fn row(&self, columns: &[TextColumn], row: usize, out: &mut Vec<u8>) -> Result<(), (usize, Unencodable)> {
        for (index, (TextColumn { column, is_plain }, key)) in columns.iter().zip(&self.keys).enumerate() {
            out.extend_from_slice(key);
            if column.is_null(row) {
                out.extend_from_slice(b"null");
            } else {
                self.write_value(&column.values, *is_plain, row, out).map_err(|error| (index, error))?;
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn write_value(&self, values: &Values, is_plain: bool, row: usize, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        match values {
            Values::Text(values) => {
                let value = values.value(row);
                write_string(value, is_plain || are_plain(value.as_bytes()), out);
                Ok(())
            }
            Values::Float(values) => self.write_float(f64::from(values.value(row)), values.value(row), out),
            Values::Double(values) => self.write_float(values.value(row), values.value(row), out),
            Values::Boolean(_) | Values::Signed(_) | Values::Unsigned(_) => {
                values.write_text(row, BytesText::Base64, out)
            }
            Values::Decimal(..)
            | Values::WideDecimal(..)
            | Values::Bytes(_)
            | Values::Date(_)
            | Values::Time(..)
            | Values::Timestamp(..) => {
                out.push(b'"');
                values.write_text(row, BytesText::Base64, out)?;
                out.push(b'"');
                Ok(())
            }
        }
    }

    fn write_float(
        &self,
        wide: f64,
        value: impl zmij::Float + Into<f64> + Copy,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        if wide.is_finite() {
            float(out, value);
        } else if self.shows_other_format {
            out.push(b'"');
            float(out, value);
            out.push(b'"');
        } else {
            return Err(Unencodable("a number is NaN or infinite, which JSON cannot represent"));
        }
        Ok(())
    }
}

/// Appends a string literal (RFC 8259, section 7).
fn write_string(value: &str, is_plain: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    if is_plain {
        out.extend_from_slice(value.as_bytes());
    } else {
        write_escaped(value.as_bytes(), out);
    }
    out.push(b'"');
}

/// Whether texts, given one after the other, have no character that must be escaped.
pub fn are_plain(texts: &[u8]) -> bool {
    // Without branches, so that the compiler uses vector instructions.
    !texts.iter().fold(false, |found, byte| found | must_escape(*byte))
}

#[expect(clippy::needless_bitwise_bool, reason = "lazy operators are branches")]
fn must_escape(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

fn write_escaped(value: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut start = 0;
    for (index, byte) in value.iter().enumerate().filter(|(_, byte)| must_escape(**byte)) {
        out.extend_from_slice(&value[start..index]);
        start = index + 1;
        let short = match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            12 => b'f',
            b'"' | b'\\' => *byte,
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&value[start..]);
}
