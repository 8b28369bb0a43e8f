//! Payloads: which tables, which fields, which rows.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Violations, limits, validate};

/// What leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// None twice.
    pub tables: Vec<PayloadTable>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadTable {
    /// The table's id.
    pub table: String,
    /// Empty: all, as they are.
    pub fields: Vec<PayloadField>,
    /// Only rows that meet all of them.
    pub filters: Vec<PayloadFilter>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadField {
    /// The field's name.
    pub field: String,
    /// Its name at the destination; empty: its own.
    pub output_name: String,
    /// What happens to its values.
    pub transform: Transform,
}

impl PayloadField {
    fn output(&self) -> &str {
        if self.output_name.is_empty() { &self.field } else { &self.output_name }
    }
}

/// What happens to a value on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transform {
    /// Nothing.
    None,
    /// SHA-256 of the text, in hexadecimal.
    Sha256,
    /// The same of the trimmed and lower-cased text.
    Sha256Normalized,
}

/// A condition on the rows of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadFilter {
    /// The field's name.
    pub field: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub values: Vec<Value>,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equals,
    /// `<>`
    NotEquals,
    /// One of the values.
    In,
    /// None of the values.
    NotIn,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// Absent.
    IsNull,
    /// Present.
    IsNotNull,
}

impl Payload {
    /// Checks the form: numbers, names, duplicates, and how many values each comparison takes.
    pub fn check(&self, violations: &mut Violations, path: &str) {
        if self.tables.is_empty() {
            violations.add(format!("{path}.tables"), "must name at least one table");
        }
        if self.tables.len() > limits::MAX_PAYLOAD_TABLES {
            violations
                .add(format!("{path}.tables"), format!("must have at most {} tables", limits::MAX_PAYLOAD_TABLES));
        }
        let count = |of: fn(&PayloadTable) -> usize| self.tables.iter().map(of).sum::<usize>();
        if count(|table| table.fields.len()) > limits::MAX_PAYLOAD_FIELDS {
            violations
                .add(format!("{path}.tables"), format!("must have at most {} fields", limits::MAX_PAYLOAD_FIELDS));
        }
        if count(|table| table.filters.len()) > limits::MAX_PAYLOAD_FILTERS {
            violations
                .add(format!("{path}.tables"), format!("must have at most {} filters", limits::MAX_PAYLOAD_FILTERS));
        }
        let mut tables = HashSet::new();
        for (index, table) in self.tables.iter().enumerate() {
            let path = format!("{path}.tables[{index}]");
            check_name(violations, &format!("{path}.table"), &table.table);
            if !tables.insert(table.table.as_str()) {
                violations.add(format!("{path}.table"), "is there twice");
            }
            table.check(violations, &path);
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
                violations
                    .add(format!("{path}.output_name"), "two fields of a table have this name at the destination");
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
                    violations.add(path, "must be a text, a number or a boolean");
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
    fn every_fault_of_a_payload_is_named() {
        let field = |field: &str, output: &str| PayloadField {
            field: field.into(),
            output_name: output.into(),
            transform: Transform::None,
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
