//! Datasets: the tables that an organization can export.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::OrganizationId;

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

impl Dataset {
    /// Resource name: `organizations/{organization}/datasets/{table}`.
    pub fn name(&self) -> String {
        format!("organizations/{}/datasets/{}", self.organization, self.table)
    }

    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&DatasetField> {
        self.fields.iter().find(|field| field.name == name)
    }
}
