//! Checks payloads against the datasets of an organization, and lists the fields of payloads that name none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dataset::{Dataset, DatasetField, FieldType};
use super::filter_value::{FilterMismatch, TOO_LARGE};
use super::json::is_inexact;
use super::payload::{Payload, PayloadField, PayloadFilter, PayloadTable, Transform};
use super::{Violations, limits};

/// Names that a hint lists.
const MAX_HINTS: usize = 3;
/// Violations of a payload that get a hint, because the search for close names takes time.
const MAX_HINTED_VIOLATIONS: usize = 20;
/// Edits by which a close name differs.
const MAX_EDITS: usize = 2;

/// What a payload is checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownDatasets {
    /// Names of all tables of the organization, for hints.
    pub tables: Vec<String>,
    /// Those that the payload names and that exist, by name.
    pub datasets: BTreeMap<String, Dataset>,
}

impl Payload {
    /// Checks that all tables and fields exist, and that transforms and filters suit the types of the fields.
    pub fn check_against(&self, known: &KnownDatasets, violations: &mut Violations, path: &str) {
        for (index, table) in self.tables.iter().enumerate() {
            let path = format!("{path}.tables[{index}]");
            if let Some(dataset) = known.datasets.get(&table.table) {
                table.check_against(dataset, violations, &path);
            } else {
                let names = known.tables.iter().map(String::as_str);
                let problem = unknown(violations, "is not a table", &table.table, names);
                violations.add(format!("{path}.table"), problem);
            }
        }
        let pinned = self.tables.iter().map(|table| table.pinned_count(known)).sum::<usize>();
        if violations.is_empty() && pinned > limits::MAX_PAYLOAD_FIELDS {
            for (index, table) in self.tables.iter().enumerate().filter(|(_, table)| table.fields.is_empty()) {
                let (count, max) = (table.pinned_count(known), limits::MAX_PAYLOAD_FIELDS);
                let problem =
                    format!("must list the fields to export: the table has {count}, and a payload at most {max}");
                violations.add(format!("{path}.tables[{index}].fields"), problem);
            }
        }
    }

    /// Checks what can be checked without datasets: that numbers arrived as they were sent.
    pub fn check_numbers(&self, violations: &mut Violations, path: &str) {
        for (table, of_table) in self.tables.iter().enumerate() {
            for (filter, of_filter) in of_table.filters.iter().enumerate() {
                let inexact = |value: &&Value| value.as_number().is_some_and(is_inexact);
                for (value, _) in of_filter.values.iter().enumerate().filter(|(_, value)| inexact(value)) {
                    violations.add(format!("{path}.tables[{table}].filters[{filter}].values[{value}]"), TOO_LARGE);
                }
            }
        }
    }

    /// The payload with the fields of each table listed, and their types: a table without fields gets all that can be
    /// exported now. The payload has been checked.
    #[must_use]
    pub fn pinned(mut self, known: &KnownDatasets) -> Self {
        for table in &mut self.tables {
            let Some(dataset) = known.datasets.get(&table.table) else { continue };
            if table.fields.is_empty() {
                table.fields = exportable(dataset).map(unchanged).collect();
            }
            for field in &mut table.fields {
                field.field_type = dataset.field(&field.field).map(|found| found.field_type);
            }
        }
        self
    }
}

fn exportable(dataset: &Dataset) -> impl Iterator<Item = &DatasetField> {
    dataset.fields.iter().filter(|field| field.field_type != FieldType::Unsupported)
}

fn unchanged(field: &DatasetField) -> PayloadField {
    PayloadField {
        field: field.name.clone(),
        output_name: String::new(),
        transform: Transform::None,
        field_type: Some(field.field_type),
    }
}

impl PayloadTable {
    /// Number of fields after pinning.
    fn pinned_count(&self, known: &KnownDatasets) -> usize {
        match known.datasets.get(&self.table) {
            Some(dataset) if self.fields.is_empty() => exportable(dataset).count(),
            _ => self.fields.len(),
        }
    }

    fn check_against(&self, dataset: &Dataset, violations: &mut Violations, path: &str) {
        if self.fields.is_empty() && exportable(dataset).next().is_none() {
            violations.add(format!("{path}.table"), "has no field that can be exported");
        }
        for (index, field) in self.fields.iter().enumerate() {
            let path = format!("{path}.fields[{index}]");
            let Some(found) = find(dataset, &field.field, violations, &path) else { continue };
            if field.transform != Transform::None && !found.field_type.has_exact_text() {
                let name = found.field_type.name();
                let problem =
                    format!("is not possible for a field of the type {name}, which has no exact text to hash");
                violations.add(format!("{path}.transform"), problem);
            }
        }
        for (index, filter) in self.filters.iter().enumerate() {
            let path = format!("{path}.filters[{index}]");
            if let Some(found) = find(dataset, &filter.field, violations, &path) {
                filter.check_against(found, violations, &path);
            }
        }
    }
}

impl PayloadFilter {
    fn check_against(&self, field: &DatasetField, violations: &mut Violations, path: &str) {
        for mismatch in self.typed(field.field_type).err().unwrap_or_default() {
            match mismatch {
                FilterMismatch::Comparison(problem) => violations.add(format!("{path}.comparison"), problem),
                FilterMismatch::Value { index, description } => {
                    violations.add(format!("{path}.values[{index}]"), description);
                }
            }
        }
    }
}

/// The field, if it exists and can be exported.
fn find<'a>(dataset: &'a Dataset, name: &str, violations: &mut Violations, path: &str) -> Option<&'a DatasetField> {
    let path = format!("{path}.field");
    match dataset.field(name) {
        None => {
            let names = exportable(dataset).map(|field| field.name.as_str());
            let problem = unknown(violations, &format!("is not a field of `{}`", dataset.table), name, names);
            violations.add(path, problem);
            None
        }
        Some(field) if field.field_type == FieldType::Unsupported => {
            violations.add(path, "has a type that cannot be exported");
            None
        }
        found => found,
    }
}

fn unknown<'a>(found: &Violations, problem: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    if found.len() >= MAX_HINTED_VIOLATIONS {
        return problem.to_owned();
    }
    let hints: Vec<_> = close_matches(name, known).into_iter().map(|hint| format!("`{hint}`")).collect();
    if hints.is_empty() { problem.to_owned() } else { format!("{problem}; did you mean {}?", hints.join(" or ")) }
}

/// At most three names that differ from `name` in a few characters only, or contain it; the closest first.
pub fn close_matches<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let close = |found: &'a str| {
        let candidate: Vec<char> = found.to_lowercase().chars().collect();
        let shorter = wanted.len().min(candidate.len());
        let distance =
            if wanted.len().abs_diff(candidate.len()) > MAX_EDITS { usize::MAX } else { edits(&wanted, &candidate) };
        let contains = shorter > 3 && (contains(&candidate, &wanted) || contains(&wanted, &candidate));
        match distance {
            distance if distance <= MAX_EDITS && distance < shorter => Some((distance, found)),
            _ if contains => Some((MAX_EDITS + 1, found)),
            _ => None,
        }
    };
    let mut matches: Vec<_> = known.filter_map(close).collect();
    matches.sort_unstable();
    matches.truncate(MAX_HINTS);
    matches.into_iter().map(|(_, found)| found).collect()
}

fn contains(text: &[char], part: &[char]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The number of characters to insert, remove or replace (Levenshtein distance); `usize::MAX` if it is beyond the maximum.
fn edits(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
        if row.iter().all(|edits| *edits > MAX_EDITS) {
            return usize::MAX;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::json;
    use crate::model::{Comparison, OrganizationId};

    #[test]
    fn numbers_are_checked_without_datasets() {
        let filter = |values: Vec<Value>| PayloadFilter { field: "id".into(), comparison: Comparison::In, values };
        let edge = 9_007_199_254_740_992_i64;
        let filters = vec![
            filter(vec![json!(edge - 1), json!(-edge), json!(0.5), json!(edge.to_string())]),
            filter(vec![json!(1e300), json!(true)]),
        ];
        let payload = Payload { tables: vec![PayloadTable { table: "t".into(), fields: Vec::new(), filters }] };
        let mut violations = Violations::new();
        payload.check_numbers(&mut violations, "p");
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["p.tables[0].filters[0].values[1]", "p.tables[0].filters[1].values[0]"]);
    }

    fn known() -> KnownDatasets {
        let types = [
            ("id", FieldType::Integer),
            ("email", FieldType::String),
            ("score", FieldType::Double),
            ("tags", FieldType::Unsupported),
            ("signup_date", FieldType::Date),
        ];
        let fields = types.map(|(name, field_type)| DatasetField { name: name.into(), field_type }).into();
        let dataset = Dataset {
            organization: OrganizationId::parse("acme").unwrap(),
            table: "customers".into(),
            fields,
            estimated_rows: None,
            estimated_bytes: None,
            update_time: None,
        };
        KnownDatasets {
            tables: vec!["customers".into(), "orders".into()],
            datasets: [("customers".to_owned(), dataset)].into(),
        }
    }

    fn table(name: &str, fields: &[(&str, Transform)], filters: Vec<PayloadFilter>) -> PayloadTable {
        let field = |(field, transform): &(&str, Transform)| PayloadField {
            field: (*field).into(),
            output_name: String::new(),
            transform: *transform,
            field_type: None,
        };
        PayloadTable { table: name.into(), fields: fields.iter().map(field).collect(), filters }
    }

    #[test]
    fn everything_that_does_not_suit_the_datasets_is_reported_at_once() {
        let filter = |field: &str, comparison, value: serde_json::Value| PayloadFilter {
            field: field.into(),
            comparison,
            values: vec![value],
        };
        let filters = vec![
            filter("id", Comparison::Equals, json!("one")),
            filter("emial", Comparison::Equals, json!("a")),
            filter("id", Comparison::Less, json!(9_007_199_254_740_993_i64)),
            filter("signup_date", Comparison::Greater, json!("yesterday")),
        ];
        let fields = [
            ("emial", Transform::None),
            ("tags", Transform::None),
            ("score", Transform::Sha256),
            ("signup_date", Transform::Sha256),
            ("nothing_like_it", Transform::None),
        ];
        let payload = Payload { tables: vec![table("customers", &fields, filters), table("custmers", &[], vec![])] };
        let mut violations = Violations::new();
        payload.check_against(&known(), &mut violations, "p");
        let found: Vec<_> = violations.iter().map(|found| (found.field.as_str(), found.description.as_str())).collect();
        let send = "is too large to arrive exactly as a number; send it as a string";
        let expected = [
            ("p.tables[0].fields[0].field", "is not a field of `customers`; did you mean `email`?"),
            ("p.tables[0].fields[1].field", "has a type that cannot be exported"),
            (
                "p.tables[0].fields[2].transform",
                "is not possible for a field of the type DOUBLE, which has no exact text to hash",
            ),
            ("p.tables[0].fields[4].field", "is not a field of `customers`"),
            ("p.tables[0].filters[0].values[0]", "must be a whole number"),
            ("p.tables[0].filters[1].field", "is not a field of `customers`; did you mean `email`?"),
            ("p.tables[0].filters[2].values[0]", send),
            ("p.tables[0].filters[3].values[0]", "must be a date such as \"2026-11-24\""),
            ("p.tables[1].table", "is not a table; did you mean `customers`?"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_table_without_fields_gets_all_that_can_be_exported() {
        let chosen = table("customers", &[("id", Transform::Sha256)], vec![]);
        let payload = Payload { tables: vec![chosen.clone(), table("customers", &[], vec![])] };
        let mut violations = Violations::new();
        payload.check_against(&known(), &mut violations, "p");
        assert!(violations.is_empty());
        let pinned = payload.pinned(&known());
        assert_eq!(pinned.without_types().tables[0], chosen);
        assert_eq!(pinned.encoded_len(), json::encoded_len(&pinned.without_types()));
        assert_eq!(pinned.tables[0].fields[0].field_type, Some(FieldType::Integer));
        let names: Vec<_> = pinned.tables[1].fields.iter().map(|field| field.field.as_str()).collect();
        assert_eq!(names, ["id", "email", "score", "signup_date"]);
    }

    #[test]
    fn a_table_with_too_many_fields_needs_a_list_of_fields() {
        let mut known = known();
        let field = |index| DatasetField { name: format!("f{index}"), field_type: FieldType::String };
        let wide = (0..=limits::MAX_PAYLOAD_FIELDS).map(field).collect();
        known.datasets.get_mut("customers").unwrap().fields = wide;
        let mut violations = Violations::new();
        Payload { tables: vec![table("customers", &[], vec![])] }.check_against(&known, &mut violations, "p");
        let found: Vec<_> = violations.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(found, ["p.tables[0].fields"]);
    }

    #[test]
    fn hints_are_close_names_alone() {
        let names = ["customers", "customer_orders", "orders", "Order", "x"];
        let hints = |name| close_matches(name, names.into_iter());
        assert_eq!(hints("order"), ["Order", "orders", "customer_orders"]);
        assert_eq!(hints("costumers"), ["customers"]);
        assert_eq!(hints("y"), Vec::<&str>::new());
        assert_eq!(hints("inventory"), Vec::<&str>::new());
    }
}
