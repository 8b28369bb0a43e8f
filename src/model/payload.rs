//! Payloads: the tables, fields and rows to export.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dataset::FieldType;
use super::{Violations, json, limits, validate};

/// The data to export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// Tables, each at most once.
    pub tables: Vec<PayloadTable>,
}

/// A table of a payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadTable {
    /// Id of the table.
    pub table: String,
    /// Fields to export; empty: all fields, unchanged.
    pub fields: Vec<PayloadField>,
    /// Conditions on rows, combined with AND.
    pub filters: Vec<PayloadFilter>,
}

/// A field of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadField {
    /// Name of the field.
    pub field: String,
    /// Name at the destination; empty: the name of the field.
    pub output_name: String,
    /// Transformation of its values.
    pub transform: Transform,
    /// Type of its values when the payload was saved, with which a run compares; `None`: it was saved without a source, or by
    /// an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_type: Option<FieldType>,
}

impl PayloadField {
    /// Name at the destination.
    pub fn output(&self) -> &str {
        if self.output_name.is_empty() { &self.field } else { &self.output_name }
    }
}

/// Transformation of a value before it is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transform {
    /// Values are exported unchanged.
    None,
    /// SHA-256 of the text, in hexadecimal.
    Sha256,
    /// SHA-256 of the trimmed and lower-cased text, in hexadecimal.
    Sha256Normalized,
}

/// A condition on the rows of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadFilter {
    /// Name of the field.
    pub field: String,
    /// Comparison operator.
    pub comparison: Comparison,
    /// Operands of the comparison.
    pub values: Vec<Value>,
}

/// Comparison operator of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equals,
    /// `<>`
    NotEquals,
    /// Equal to one of the values.
    In,
    /// Equal to none of the values.
    NotIn,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// The value is NULL.
    IsNull,
    /// The value is not NULL.
    IsNotNull,
}

impl Payload {
    /// What callers give: the payload without the types that its fields had when it was saved.
    #[must_use]
    pub fn without_types(&self) -> Self {
        let mut payload = self.clone();
        for field in payload.tables.iter_mut().flat_map(|table| &mut table.fields) {
            field.field_type = None;
        }
        payload
    }

    /// Its length as JSON without the types of its fields.
    pub fn encoded_len(&self) -> usize {
        let fields = self.tables.iter().flat_map(|table| &table.fields);
        let types = fields.filter_map(|field| field.field_type.as_ref());
        let types: usize = types.map(|kept| r#","field_type":"#.len() + json::encoded_len(kept)).sum();
        json::encoded_len(self).saturating_sub(types)
    }

    /// Checks names, duplicates and the number of values per comparison. Its counts were checked before.
    pub fn check(&self, violations: &mut Violations, path: &str) {
        if self.tables.is_empty() {
            violations.add(format!("{path}.tables"), "must name at least one table");
        }
        let mut tables = HashSet::new();
        for (index, table) in self.tables.iter().enumerate() {
            let path = format!("{path}.tables[{index}]");
            check_name(violations, &format!("{path}.table"), &table.table);
            if !tables.insert(table.table.as_str()) {
                violations.add(format!("{path}.table"), "is a duplicate");
            }
            table.check(violations, &path);
        }
    }
}

/// How many parts a payload has in all tables together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadCounts {
    /// How many tables it has.
    pub tables: usize,
    /// How many fields its tables have.
    pub fields: usize,
    /// How many filters its tables have.
    pub filters: usize,
    /// How many values its filters have.
    pub values: usize,
}

impl PayloadCounts {
    /// Checks them, which costs nothing, before the payload is converted.
    pub fn check(&self, violations: &mut Violations, path: &str) {
        for (count, max, what) in [
            (self.tables, limits::MAX_PAYLOAD_TABLES, "tables"),
            (self.fields, limits::MAX_PAYLOAD_FIELDS, "fields"),
            (self.filters, limits::MAX_PAYLOAD_FILTERS, "filters"),
            (self.values, limits::MAX_PAYLOAD_VALUES, "values in filters"),
        ] {
            if count > max {
                violations.add(format!("{path}.tables"), format!("must have at most {max} {what}"));
            }
        }
    }
}

impl PayloadTable {
    fn check(&self, violations: &mut Violations, path: &str) {
        let mut outputs = HashSet::new();
        for (index, field) in self.fields.iter().enumerate() {
            let path = format!("{path}.fields[{index}]");
            check_name(violations, &format!("{path}.field"), &field.field);
            validate::text(
                violations,
                &format!("{path}.output_name"),
                field.output_name.clone(),
                limits::MAX_FIELD_NAME_CHARS,
            );
            if !outputs.insert(field.output()) {
                violations.add(
                    format!("{path}.output_name"),
                    "is a duplicate: another field of the table has this name at the destination",
                );
            }
        }
        for (index, filter) in self.filters.iter().enumerate() {
            let path = format!("{path}.filters[{index}]");
            check_name(violations, &format!("{path}.field"), &filter.field);
            filter.check_values(violations, &format!("{path}.values"));
        }
    }
}

impl PayloadFilter {
    fn check_values(&self, violations: &mut Violations, path: &str) {
        use Comparison::{Equals, Greater, GreaterOrEqual, In, IsNotNull, IsNull, Less, LessOrEqual, NotEquals, NotIn};
        let count = self.values.len();
        match self.comparison {
            Equals | NotEquals | Less | LessOrEqual | Greater | GreaterOrEqual if count != 1 => {
                violations.add(path, "must have one value");
            }
            In | NotIn if count == 0 || count > limits::MAX_FILTER_VALUES => {
                violations.add(path, format!("must have 1 to {} values", limits::MAX_FILTER_VALUES));
            }
            IsNull | IsNotNull if count != 0 => violations.add(path, "must have no value"),
            Equals | NotEquals | In | NotIn | Less | LessOrEqual | Greater | GreaterOrEqual | IsNull | IsNotNull => {}
        }
        for (index, value) in self.values.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match value {
                Value::Bool(_) | Value::Number(_) => {}
                Value::String(value) if !value.chars().any(char::is_control) => {}
                Value::String(_) => violations.add(path, "must not contain control characters"),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    violations.add(path, "must be a string, a number or a boolean");
                }
            }
        }
    }
}

fn check_name(violations: &mut Violations, path: &str, name: &str) {
    validate::required_text(violations, path, name.to_owned(), limits::MAX_FIELD_NAME_CHARS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_violations_of_a_payload_are_reported() {
        let field = |field: &str, output: &str| PayloadField {
            field: field.into(),
            output_name: output.into(),
            transform: Transform::None,
            field_type: None,
        };
        let filter = |comparison, values: Vec<Value>| PayloadFilter { field: "f".into(), comparison, values };
        let table = PayloadTable {
            table: "t".into(),
            fields: vec![field("a", ""), field("b", "a"), field("", "c")],
            filters: vec![
                filter(Comparison::Equals, vec![]),
                filter(Comparison::In, vec![]),
                filter(Comparison::IsNull, vec![1.into()]),
                filter(Comparison::Less, vec!["\0".into()]),
                filter(Comparison::Less, vec![Value::Null]),
            ],
        };
        let mut violations = Violations::new();
        Payload { tables: vec![table.clone(), table] }.check(&mut violations, "p");
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).take(8).collect();
        let expected = [
            "p.tables[0].fields[1].output_name",
            "p.tables[0].fields[2].field",
            "p.tables[0].filters[0].values",
            "p.tables[0].filters[1].values",
            "p.tables[0].filters[2].values",
            "p.tables[0].filters[3].values[0]",
            "p.tables[0].filters[4].values[0]",
            "p.tables[1].table",
        ];
        assert_eq!(fields, expected);
        let mut none = Violations::new();
        Payload::default().check(&mut none, "p");
        assert_eq!(none.len(), 1);
    }
}
