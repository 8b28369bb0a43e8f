//! Reads the tables, views and fields of a schema.

use arrow::datatypes::SchemaRef;
use sqlx::{PgConnection, Row as _};

use super::connection::failed;
use crate::delivery::DeliveryError;
use crate::delivery::datasets::pinned::{PinnedTable, RowSource, TableContent};
use crate::model::{Dataset, DatasetField, FailureCode, FieldType, OrganizationId, is_dataset_name};

/// Maximum number of fields in all tables of a schema.
const MAX_FIELDS: i64 = 100_000;

/// A table or view.
#[derive(Clone, Debug)]
pub struct PostgresTable {
    /// Its name.
    pub name: String,
    /// Its fields, in their order.
    pub fields: Vec<PostgresField>,
    /// Number of rows, as the planner estimates it.
    pub estimated_rows: Option<u64>,
    /// Bytes of the table; `None` for views.
    pub estimated_bytes: Option<u64>,
}

/// A field of a table.
#[derive(Clone, Debug)]
pub struct PostgresField {
    /// Its name and the type of its values.
    pub field: DatasetField,
    /// How its values are read.
    pub column: ColumnType,
}

/// How the values of a column are selected, decoded and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// bool
    Boolean,
    /// int2, int4, int8
    Integer,
    /// float4
    Real,
    /// float8
    Double,
    /// numeric with a precision of at most 38 digits
    Decimal {
        /// Number of digits.
        precision: u8,
        /// Number of digits after the decimal point.
        scale: i8,
    },
    /// text and varchar, which are compared as they are
    Text,
    /// Another type with a text: uuid, json, enums, char(n), numeric without a precision
    AsText,
    /// bytea
    Bytes,
    /// date
    Date,
    /// time
    Time,
    /// timestamp, taken as UTC
    LocalTimestamp,
    /// timestamptz
    Timestamp,
    /// Any other type
    Unsupported,
}

impl PostgresTable {
    /// Its fields with their types.
    pub fn fields(&self) -> Vec<DatasetField> {
        self.fields.iter().map(|found| found.field.clone()).collect()
    }

    /// The table, pinned to the rows of a query.
    pub fn pinned(&self, schema: SchemaRef, rows: Box<dyn RowSource>) -> PinnedTable {
        PinnedTable {
            table: self.name.clone(),
            schema,
            fields: self.fields(),
            content: TableContent::Rows(rows),
            estimated_rows: self.estimated_rows,
            estimated_bytes: self.estimated_bytes,
        }
    }

    /// The table as a dataset.
    pub fn dataset(&self, organization: &OrganizationId) -> Dataset {
        Dataset {
            organization: organization.clone(),
            table: self.name.clone(),
            fields: self.fields(),
            estimated_rows: self.estimated_rows,
            estimated_bytes: self.estimated_bytes,
            update_time: None,
        }
    }
}

/// Every table with its columns. A column of a domain has the type that the domain is made of.
const QUERY: &str = "\
SELECT c.relname::text AS table_name, c.reltuples::float8 AS row_count, \
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_table_size(c.oid) END AS bytes, \
       a.attname::text AS field_name, t.typname::text AS type_name, t.typtype::text AS type_kind, \
       n.nspname::text AS type_schema, \
       CASE WHEN d.typtype = 'd' THEN d.typtypmod ELSE a.atttypmod END AS modifier \
  FROM pg_catalog.pg_class c \
  JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace \
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
  JOIN pg_catalog.pg_type d ON d.oid = a.atttypid \
  JOIN pg_catalog.pg_type t ON t.oid = CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END \
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
 WHERE s.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
   AND pg_catalog.has_schema_privilege(s.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
 ORDER BY c.relname::text COLLATE \"C\", a.attnum LIMIT $2";

/// The tables of a schema, by name.
pub async fn read(connection: &mut PgConnection, schema: &str) -> Result<Vec<PostgresTable>, DeliveryError> {
    let query = sqlx::query(QUERY).bind(schema).bind(MAX_FIELDS + 1).persistent(false);
    let rows = query.fetch_all(connection).await.map_err(|error| failed("cannot list the tables", &error))?;
    if rows.len() as u64 > MAX_FIELDS.unsigned_abs() {
        let detail = format!("the schema {schema} has more than {MAX_FIELDS} fields");
        return Err(DeliveryError::new(FailureCode::DatasetUnavailable, detail));
    }
    let mut tables: Vec<PostgresTable> = Vec::new();
    for row in &rows {
        add(&mut tables, row).map_err(|error| failed("cannot list the tables", &error))?;
    }
    tables.retain(|table| is_dataset_name(&table.name));
    Ok(tables)
}

fn add(tables: &mut Vec<PostgresTable>, row: &sqlx::postgres::PgRow) -> Result<(), sqlx::Error> {
    let table: String = row.try_get("table_name")?;
    if tables.last().is_none_or(|last| last.name != table) {
        let bytes: Option<i64> = row.try_get("bytes")?;
        tables.push(PostgresTable {
            name: table,
            fields: Vec::new(),
            estimated_rows: row_count(row.try_get("row_count")?),
            estimated_bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        });
    }
    let name: String = row.try_get("field_name")?;
    let (type_name, kind): (String, String) = (row.try_get("type_name")?, row.try_get("type_kind")?);
    let is_builtin = row.try_get::<String, _>("type_schema")? == "pg_catalog";
    let column = match kind.as_str() {
        "e" => ColumnType::AsText,
        "b" if is_builtin => builtin(&type_name, row.try_get("modifier")?),
        _ => ColumnType::Unsupported,
    };
    if let Some(last) = tables.last_mut().filter(|_| is_dataset_name(&name)) {
        last.fields.push(PostgresField { field: DatasetField { name, field_type: column.field_type() }, column });
    }
    Ok(())
}

/// The estimate of the planner; negative: the table was never analyzed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, not negative")]
fn row_count(estimate: f64) -> Option<u64> {
    (estimate >= 0.0).then_some(estimate as u64)
}

fn builtin(type_name: &str, modifier: i32) -> ColumnType {
    match type_name {
        "bool" => ColumnType::Boolean,
        "int2" | "int4" | "int8" => ColumnType::Integer,
        "float4" => ColumnType::Real,
        "float8" => ColumnType::Double,
        "numeric" => decimal(modifier),
        "text" | "varchar" => ColumnType::Text,
        "bpchar" | "name" | "uuid" | "json" | "jsonb" => ColumnType::AsText,
        "bytea" => ColumnType::Bytes,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time,
        "timestamp" => ColumnType::LocalTimestamp,
        "timestamptz" => ColumnType::Timestamp,
        _ => ColumnType::Unsupported,
    }
}

/// numeric(precision, scale). Without a precision, values have any number of digits, and are exported as text.
fn decimal(modifier: i32) -> ColumnType {
    let modifier = modifier - 4;
    let precision = u8::try_from(modifier >> 16).ok().filter(|precision| (1..=38).contains(precision));
    // The scale has 11 bits with a sign since PostgreSQL 15.
    let scale = i8::try_from(((modifier & 0x7ff) ^ 1024) - 1024).ok().filter(|scale| *scale >= 0);
    match (precision, scale) {
        (Some(precision), Some(scale)) if modifier >= 0 && scale.unsigned_abs() <= precision => {
            ColumnType::Decimal { precision, scale }
        }
        _ => ColumnType::AsText,
    }
}

impl ColumnType {
    fn field_type(self) -> FieldType {
        match self {
            Self::Boolean => FieldType::Boolean,
            Self::Integer => FieldType::Integer,
            Self::Real | Self::Double => FieldType::Double,
            Self::Decimal { precision, scale } => FieldType::Decimal { precision, scale },
            Self::Text | Self::AsText => FieldType::String,
            Self::Bytes => FieldType::Bytes,
            Self::Date => FieldType::Date,
            Self::Time => FieldType::Time,
            Self::LocalTimestamp | Self::Timestamp => FieldType::Timestamp,
            Self::Unsupported => FieldType::Unsupported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_is_a_decimal_if_it_has_a_precision_of_at_most_38_digits() {
        let modifier = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        assert_eq!(decimal(modifier(12, 2)), ColumnType::Decimal { precision: 12, scale: 2 });
        assert_eq!(decimal(modifier(38, 38)), ColumnType::Decimal { precision: 38, scale: 38 });
        for other in [-1, modifier(39, 2), modifier(1_000, 0), modifier(5, -2), modifier(3, 5)] {
            assert_eq!(decimal(other), ColumnType::AsText, "{other}");
        }
    }
}
