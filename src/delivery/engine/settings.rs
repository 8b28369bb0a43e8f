//! Formats of files, from the settings of an export.

use std::fmt;

use serde_json::Value;

use crate::delivery::{DeliveryError, OutputFormat};
use crate::model::FailureCode;
use crate::model::json::Object;

/// How rows become files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodingSettings {
    /// The format of the rows.
    pub format: RowFormat,
    /// The compression of whole files; Parquet compresses its pages instead.
    pub compression: Compression,
    /// Rows of a file, at most.
    pub max_rows_per_file: Option<u64>,
    /// Bytes of a file before compression, at most; a row that is larger than this has a file of its own. For Parquet,
    /// bytes of the values in memory.
    pub max_bytes_per_file: Option<u64>,
}

/// The format of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// CSV (RFC 4180).
    Csv(CsvSettings),
    /// One JSON object per line.
    JsonLines,
    /// Parquet.
    Parquet(ParquetCompression),
}

/// A variant of CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "settings of exports, each on or off")]
pub struct CsvSettings {
    /// The byte between values.
    pub delimiter: u8,
    /// Whether a file starts with the names of the fields.
    pub include_header: bool,
    /// Whether all values except null are quoted.
    pub quote_all: bool,
    /// Represents null, without quotes. A value with the same text is quoted, and so is the empty string: they remain
    /// distinguishable.
    pub null_text: String,
    /// The bytes after each row.
    pub line_ending: &'static str,
    /// Whether a file starts with the UTF-8 byte order mark.
    pub byte_order_mark: bool,
    /// Whether texts that start like a formula get a single quote in front.
    pub formula_guard: bool,
    /// Whether the text is for COPY of PostgreSQL: bytes in hexadecimal after `\x`, `\.` quoted, no NUL.
    pub for_copy: bool,
}

/// The compression of a CSV or JSON Lines file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// gzip (RFC 1952), in several members.
    Gzip,
    /// Zstandard (RFC 8878), in several frames.
    Zstd,
}

/// The compression of the pages of a Parquet file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetCompression {
    /// None.
    None,
    /// Snappy.
    Snappy,
    /// Zstandard.
    Zstd,
}

/// A setting that the engine cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    /// The key.
    pub key: &'static str,
    /// What is wrong; completes "the setting …".
    pub message: &'static str,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the setting `{}` {}", self.key, self.message)
    }
}

impl From<InvalidSetting> for DeliveryError {
    fn from(invalid: InvalidSetting) -> Self {
        Self::new(FailureCode::ValueNotEncodable, invalid.to_string())
    }
}

impl EncodingSettings {
    /// The settings for a destination that takes `format`. Keys are those of the export fields of file destinations; an
    /// absent key has its default. A destination that does not take files has fixed settings.
    pub fn new(format: OutputFormat, settings: &Object) -> Result<Self, InvalidSetting> {
        let unsplit =
            |format| Self { format, compression: Compression::None, max_rows_per_file: None, max_bytes_per_file: None };
        match format {
            OutputFormat::JsonLines => Ok(unsplit(RowFormat::JsonLines)),
            OutputFormat::CopyCsv => Ok(unsplit(RowFormat::Csv(CsvSettings::copy()))),
            OutputFormat::Files => Self::parse(&Settings(settings)),
        }
    }

    fn parse(settings: &Settings<'_>) -> Result<Self, InvalidSetting> {
        let compression = [("zstd", Compression::Zstd), ("gzip", Compression::Gzip), ("none", Compression::None)];
        let pages = [
            ("zstd", ParquetCompression::Zstd),
            ("snappy", ParquetCompression::Snappy),
            ("none", ParquetCompression::None),
        ];
        let format = match settings.choice("file_format", &[("csv", 0), ("jsonl", 1), ("parquet", 2)])? {
            0 => RowFormat::Csv(CsvSettings::parse(settings)?),
            1 => RowFormat::JsonLines,
            _ => RowFormat::Parquet(settings.choice("parquet_compression", &pages)?),
        };
        let compression = match format {
            RowFormat::Parquet(_) => Compression::None,
            RowFormat::Csv(_) | RowFormat::JsonLines => settings.choice("compression", &compression)?,
        };
        Ok(Self {
            format,
            compression,
            max_rows_per_file: settings.positive("max_rows_per_file")?,
            max_bytes_per_file: settings.positive("max_bytes_per_file")?,
        })
    }

    /// Whether the rows of a table can be split into several files.
    pub fn splits_files(&self) -> bool {
        self.max_rows_per_file.is_some() || self.max_bytes_per_file.is_some()
    }

    /// The end of file names, without its leading period.
    pub fn suffix(&self) -> String {
        let compression = match self.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        };
        format!("{}{compression}", self.format_name())
    }

    /// The format as in the settings: `csv`, `jsonl` or `parquet`.
    pub fn format_name(&self) -> &'static str {
        match self.format {
            RowFormat::Csv(_) => "csv",
            RowFormat::JsonLines => "jsonl",
            RowFormat::Parquet(_) => "parquet",
        }
    }

    /// Whether texts that start like a formula get a prefix.
    pub fn formula_guard(&self) -> bool {
        matches!(&self.format, RowFormat::Csv(csv) if csv.formula_guard)
    }
}

impl CsvSettings {
    fn copy() -> Self {
        Self {
            delimiter: b',',
            include_header: false,
            quote_all: false,
            null_text: String::new(),
            line_ending: "\n",
            byte_order_mark: false,
            formula_guard: false,
            for_copy: true,
        }
    }

    fn parse(settings: &Settings<'_>) -> Result<Self, InvalidSetting> {
        let delimiters = [("comma", b','), ("semicolon", b';'), ("tab", b'\t'), ("pipe", b'|')];
        let csv = Self {
            delimiter: settings.choice("delimiter", &delimiters)?,
            include_header: settings.flag("include_header", true)?,
            quote_all: settings.choice("quoting", &[("necessary", false), ("all", true)])?,
            null_text: settings.text("null_text")?,
            line_ending: settings.choice("line_ending", &[("crlf", "\r\n"), ("lf", "\n")])?,
            byte_order_mark: settings.flag("byte_order_mark", false)?,
            formula_guard: settings.flag("formula_guard", false)?,
            for_copy: false,
        };
        if csv.null_text.bytes().any(|byte| byte == csv.delimiter || matches!(byte, b'"' | b'\r' | b'\n')) {
            let message = "must not contain the delimiter, a quote or a line break: null is written without quotes";
            return Err(InvalidSetting { key: "null_text", message });
        }
        Ok(csv)
    }
}

/// Typed access to settings.
struct Settings<'a>(&'a Object);

impl Settings<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The value that belongs to the chosen name; the first is the default.
    fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Result<T, InvalidSetting> {
        let name = match self.get(key) {
            None => choices[0].0,
            Some(value) => value.as_str().unwrap_or_default(),
        };
        let chosen = choices.iter().find(|(choice, _)| *choice == name);
        chosen.map(|(_, value)| *value).ok_or(InvalidSetting { key, message: "is none of the permitted values" })
    }

    fn flag(&self, key: &'static str, default: bool) -> Result<bool, InvalidSetting> {
        let message = "must be true or false";
        self.get(key).map_or(Ok(default), |value| value.as_bool().ok_or(InvalidSetting { key, message }))
    }

    fn text(&self, key: &'static str) -> Result<String, InvalidSetting> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        self.get(key)
            .map_or(Ok(String::new()), |value| text(value).ok_or(InvalidSetting { key, message: "must be a text" }))
    }

    /// A number of at least 1. Clients send numbers as floating-point numbers, so `5.0` is an integer.
    fn positive(&self, key: &'static str) -> Result<Option<u64>, InvalidSetting> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.as_u64().or_else(|| {
            value.as_f64().filter(|number| number.fract() == 0.0).and_then(|number| format!("{number:.0}").parse().ok())
        });
        let number = number.filter(|number| *number > 0);
        number.map(Some).ok_or(InvalidSetting { key, message: "must be a whole number of at least 1" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::Catalog;

    fn parse(settings: &Value) -> Result<EncodingSettings, InvalidSetting> {
        EncodingSettings::new(OutputFormat::Files, settings.as_object().unwrap())
    }

    #[test]
    fn defaults_are_those_of_the_catalog() {
        let catalog = Catalog::load(None).unwrap();
        let mut defaults = Object::new();
        for field in &catalog.get("local_directory").unwrap().export_fields {
            if let Some(value) = &field.default_value {
                defaults.insert(field.key.clone(), value.clone());
            }
            for choice in &field.allowed_values {
                parse(&json!({ field.key.as_str(): choice.value.as_str() })).unwrap();
            }
        }
        assert_eq!(parse(&Value::Object(defaults)), parse(&json!({})));
        assert_eq!(parse(&json!({})).unwrap().suffix(), "csv.zst");
    }

    #[test]
    fn invalid_settings_are_named() {
        for (settings, key) in [
            (json!({"file_format": "xml"}), "file_format"),
            (json!({"delimiter": 1}), "delimiter"),
            (json!({"null_text": "a,b"}), "null_text"),
            (json!({"null_text": "|", "delimiter": "pipe"}), "null_text"),
            (json!({"include_header": "yes"}), "include_header"),
            (json!({"max_rows_per_file": 0}), "max_rows_per_file"),
            (json!({"max_bytes_per_file": 1.5}), "max_bytes_per_file"),
        ] {
            assert_eq!(parse(&settings).unwrap_err().key, key);
        }
        let settings = parse(&json!({"max_rows_per_file": 5.0, "max_bytes_per_file": 7})).unwrap();
        assert_eq!((settings.max_rows_per_file, settings.max_bytes_per_file), (Some(5), Some(7)));
    }

    #[test]
    fn parquet_has_its_own_compression() {
        let settings = parse(&json!({"file_format": "parquet", "compression": "gzip"})).unwrap();
        assert_eq!(settings.format, RowFormat::Parquet(ParquetCompression::Zstd));
        assert_eq!((settings.compression, settings.suffix()), (Compression::None, "parquet".to_owned()));
        let copy = EncodingSettings::new(OutputFormat::CopyCsv, &Object::new()).unwrap();
        assert_eq!((copy.suffix(), copy.compression), ("csv".to_owned(), Compression::None));
    }
}
