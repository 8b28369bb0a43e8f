//! The query for the rows of a payload's table: its fields, and its filters with bound values.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, PgConnection};

use super::catalog::{ColumnType, PostgresField, PostgresTable};
use super::connection::failed;
use crate::delivery::DeliveryError;
use crate::model::{Comparison, FailureCode, FieldType, FilterValue, PayloadTable, TypedFilter};

/// A query, and the columns of its result.
pub struct Query {
    /// The name of its cursor.
    pub cursor: String,
    sql: String,
    parameters: Vec<Parameter>,
    /// The fields that it selects, in the order of the table.
    pub columns: Vec<PostgresField>,
}

/// A bound value. All are sent as texts, which the query casts to the type of the column.
enum Parameter {
    One(String),
    Many(Vec<String>),
}

impl Query {
    /// The fields of the payload, each once; all that can be exported if it lists none. The number tells the queries of one
    /// transaction apart.
    pub fn new(
        schema: &str,
        (number, table): (usize, &PostgresTable),
        payload: &PayloadTable,
    ) -> Result<Self, DeliveryError> {
        let find = |name: &String| {
            let missing = || DeliveryError::new(FailureCode::FieldMissing, format!("{} has no {name}", table.name));
            table.fields.iter().find(|found| found.field.name == *name).ok_or_else(missing)
        };
        for listed in &payload.fields {
            if find(&listed.field)?.column == ColumnType::Unsupported {
                return Err(changed(&listed.field));
            }
        }
        let is_listed = |found: &&PostgresField| {
            let is_named = payload.fields.iter().any(|listed| listed.field == found.field.name);
            found.column != ColumnType::Unsupported && (payload.fields.is_empty() || is_named)
        };
        let columns: Vec<_> = table.fields.iter().filter(is_listed).cloned().collect();
        let selected: Vec<_> = columns.iter().map(select).collect();
        let mut query = Self {
            cursor: format!("outflow_{number}"),
            sql: format!("SELECT {} FROM {}.{}", selected.join(", "), quote(schema), quote(&table.name)),
            parameters: Vec::new(),
            columns,
        };
        for (index, filter) in payload.filters.iter().enumerate() {
            let found = find(&filter.field)?;
            let typed = filter.typed(found.field.field_type).map_err(|_| changed(&filter.field))?;
            query.sql.push_str(if index == 0 { " WHERE " } else { " AND " });
            query.add_filter(found, &typed);
        }
        Ok(query)
    }

    fn add_filter(&mut self, found: &PostgresField, filter: &TypedFilter) {
        use Comparison::{Equals, Greater, GreaterOrEqual, In, IsNotNull, IsNull, Less, LessOrEqual, NotEquals, NotIn};
        let operator = match filter.comparison {
            Equals => "=",
            In => "= ANY",
            NotEquals => "<>",
            NotIn => "<> ALL",
            Less => "<",
            LessOrEqual => "<=",
            Greater => ">",
            GreaterOrEqual => ">=",
            IsNull | IsNotNull => {
                let not = if filter.comparison == IsNull { "" } else { "NOT " };
                // Writing to a String cannot fail.
                let _ = write!(self.sql, "{} IS {not}NULL", quote(&found.field.name));
                return;
            }
        };
        let is_ordered = matches!(filter.comparison, Less | LessOrEqual | Greater | GreaterOrEqual);
        let is_list = matches!(filter.comparison, In | NotIn);
        let column = compared(found, is_ordered);
        let cast = cast(found.column, &filter.values);
        let mut texts = filter.values.iter().map(|value| text(value, found.field.field_type)).collect::<Vec<_>>();
        let number = self.parameters.len() + 1;
        let (parameter, operand) = if is_list {
            (Parameter::Many(texts), format!("(${number}::text[]::{cast}[])"))
        } else {
            (Parameter::One(texts.pop().unwrap_or_default()), format!("${number}::text::{cast}"))
        };
        self.parameters.push(parameter);
        let _ = write!(self.sql, "{column} {operator} {operand}");
    }

    /// Declares the cursor in the transaction of the connection.
    pub async fn declare(&self, connection: &mut PgConnection) -> Result<(), DeliveryError> {
        let sql = format!("DECLARE {} NO SCROLL CURSOR FOR {}", self.cursor, self.sql);
        // The names in it are quoted, and all values are bound.
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for parameter in &self.parameters {
            query = match parameter {
                Parameter::One(text) => query.bind(text),
                Parameter::Many(texts) => query.bind(texts),
            };
        }
        query.execute(connection).await.map_err(|error| failed("cannot read the table", &error))?;
        Ok(())
    }
}

fn changed(field: &str) -> DeliveryError {
    let detail = format!("the type of {field} does not suit the payload any more");
    DeliveryError::new(FailureCode::FieldTypeChanged, detail)
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The expression whose values `rows.rs` decodes.
fn select(found: &PostgresField) -> String {
    let name = quote(&found.field.name);
    match found.column {
        ColumnType::Integer => format!("{name}::int8"),
        ColumnType::Decimal { .. } | ColumnType::Text | ColumnType::AsText => format!("{name}::text"),
        ColumnType::Boolean
        | ColumnType::Real
        | ColumnType::Double
        | ColumnType::Bytes
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::LocalTimestamp
        | ColumnType::Timestamp
        | ColumnType::Unsupported => name,
    }
}

/// The left side of a comparison. Texts are ordered by their bytes, as those of files are.
fn compared(found: &PostgresField, is_ordered: bool) -> String {
    let name = quote(&found.field.name);
    match found.column {
        ColumnType::Text | ColumnType::AsText if is_ordered => format!("({name}::text COLLATE \"C\")"),
        ColumnType::AsText => format!("{name}::text"),
        ColumnType::Boolean
        | ColumnType::Integer
        | ColumnType::Real
        | ColumnType::Double
        | ColumnType::Decimal { .. }
        | ColumnType::Text
        | ColumnType::Bytes
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::LocalTimestamp
        | ColumnType::Timestamp
        | ColumnType::Unsupported => name,
    }
}

/// The type that the values are cast to. Integers beyond 64 bits are compared as numeric, without an index.
fn cast(column: ColumnType, values: &[FilterValue]) -> &'static str {
    let is_wide =
        |value: &FilterValue| matches!(value, FilterValue::Integer(number) if i64::try_from(*number).is_err());
    match column {
        ColumnType::Boolean => "bool",
        ColumnType::Integer if values.iter().any(is_wide) => "numeric",
        ColumnType::Integer => "int8",
        ColumnType::Real | ColumnType::Double => "float8",
        ColumnType::Decimal { .. } => "numeric",
        ColumnType::Text | ColumnType::AsText | ColumnType::Bytes | ColumnType::Unsupported => "text",
        ColumnType::Date => "date",
        ColumnType::Time => "time",
        ColumnType::LocalTimestamp => "timestamp",
        ColumnType::Timestamp => "timestamptz",
    }
}

/// A value as PostgreSQL reads it.
fn text(value: &FilterValue, field_type: FieldType) -> String {
    match value {
        FilterValue::Boolean(value) => value.to_string(),
        FilterValue::Integer(value) => value.to_string(),
        FilterValue::Double(value) => value.to_string(),
        FilterValue::Decimal(units) => {
            let scale = if let FieldType::Decimal { scale, .. } = field_type { scale } else { 0 };
            format!("{units}e{}", -i32::from(scale))
        }
        FilterValue::String(text) => text.clone(),
        FilterValue::Date(date) => date.to_string(),
        FilterValue::Time(time) => time.to_string(),
        // A timestamp ignores the zone, which is UTC.
        FilterValue::Timestamp(time) => time.format("%Y-%m-%d %H:%M:%S%.fZ").to_string(),
    }
}
