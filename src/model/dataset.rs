//! Datasets: the tables that an organization can export.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{OrganizationId, limits};

/// A table of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The organization that it belongs to.
    pub organization: OrganizationId,
    /// Its name; the last segment of its resource name, and `table` in payloads.
    pub table: String,
    /// Its fields, in the order of the source.
    pub fields: Vec<DatasetField>,
    /// Number of rows, as the source knows or estimates it.
    pub estimated_rows: Option<u64>,
    /// Bytes in the source, as it knows or estimates them.
    pub estimated_bytes: Option<u64>,
    /// Time of the last change that the source knows.
    pub update_time: Option<DateTime<Utc>>,
}

/// `organizations/{organization}/datasets/{table}`. The table is the rest of the name, which may contain `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetName {
    /// The organization that the dataset belongs to.
    pub organization: OrganizationId,
    /// The table.
    pub table: String,
}

/// A field of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetField {
    /// Its name, unique within the dataset.
    pub name: String,
    /// The type of its values.
    pub field_type: FieldType,
}

/// The type of the values of a field. Every field can be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldType {
    /// True or false.
    Boolean,
    /// A whole number, signed or unsigned, of at most 64 bits.
    Integer,
    /// A floating-point number of 32 or 64 bits.
    Double,
    /// An exact decimal number.
    Decimal {
        /// Number of digits.
        precision: u8,
        /// Number of digits after the decimal point.
        scale: i8,
    },
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// A day without a time.
    Date,
    /// A time of day without a day.
    Time,
    /// An instant.
    Timestamp,
    /// A type that cannot be exported, such as a list.
    Unsupported,
}

/// Whether a text can be the name of a table or field: 1 to 120 characters, not blank, without control characters.
pub fn is_dataset_name(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= limits::MAX_FIELD_NAME_CHARS
        && !text.chars().any(char::is_control)
}

impl FieldType {
    /// The name of the type in the API, for errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Integer => "INTEGER",
            Self::Double => "DOUBLE",
            Self::Decimal { .. } => "DECIMAL",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Unsupported => "UNSUPPORTED",
        }
    }

    /// Whether values have one exact text, which can be hashed. Doubles have several, bytes none.
    pub fn has_exact_text(self) -> bool {
        !matches!(self, Self::Double | Self::Bytes | Self::Unsupported)
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "organizations/{}/datasets/{}", self.organization, self.table)
    }
}

impl Dataset {
    /// Its resource name.
    pub fn name(&self) -> DatasetName {
        DatasetName { organization: self.organization.clone(), table: self.table.clone() }
    }

    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&DatasetField> {
        self.fields.iter().find(|field| field.name == name)
    }
}
