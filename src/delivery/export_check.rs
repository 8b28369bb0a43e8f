//! Checks the settings and the payload of an export against what its destination takes, and names the file that it
//! writes.

use serde_json::Value;

use super::engine::EncodingSettings;
use super::layout::{self, Layout};
use super::{DeliveryError, OutputFormat};
use crate::model::json::Object;
use crate::model::{FailureCode, Payload, ResourceId};

/// What a destination does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The field of the export, such as `destination_settings.null_text`.
    pub field: String,
    /// What is wrong; completes "the field …".
    pub message: String,
}

impl From<Refusal> for DeliveryError {
    fn from(refusal: Refusal) -> Self {
        Self::new(FailureCode::DestinationRefused, format!("{} {}", refusal.field, refusal.message))
    }
}

/// Checks an export for a destination that takes `format`. Settings were checked against their type before.
pub fn check(format: OutputFormat, settings: &Object, payload: &Payload) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |field: &str, message: &str| {
        refusals.push(Refusal { field: field.to_owned(), message: message.to_owned() });
    };
    if let Err(invalid) = EncodingSettings::new(format, settings) {
        refuse(&format!("destination_settings.{}", invalid.key), invalid.message);
    }
    match format {
        OutputFormat::Files => {
            if let Err(message) = Layout::check_template(layout::template(settings)) {
                refuse("destination_settings.file_name_template", &message);
            }
        }
        OutputFormat::CopyCsv if payload.tables.len() > 1 => {
            refuse("payload.tables", "must name one table: all rows of the export go to one table of the destination");
        }
        OutputFormat::CopyCsv | OutputFormat::JsonLines => {}
    }
    refusals
}

/// What the paths of the file of an export have in common: the folder and the name, with the same text for every date and
/// time. Two exports on one connection with equal results could write the same file. `None` if every run has files of its
/// own, or if the destination takes no files.
pub fn file_name(format: OutputFormat, export: &ResourceId, settings: &Object, payload: &Payload) -> Option<String> {
    let encoding = EncodingSettings::new(format, settings).ok()?;
    let ([table], OutputFormat::Files, false) = (payload.tables.as_slice(), format, encoding.splits_files()) else {
        return None;
    };
    let name = layout::name_of_all_runs(layout::template(settings), export, &table.table, &encoding.suffix())?;
    let folder = settings.get("folder").and_then(Value::as_str).unwrap_or_default().trim_matches('/');
    Some(if folder.is_empty() { name } else { format!("{folder}/{name}") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{PayloadField, PayloadTable, Transform};

    fn payload(tables: &[&str]) -> Payload {
        let field = PayloadField {
            field: "id".into(),
            output_name: String::new(),
            transform: Transform::None,
            field_type: None,
        };
        let table =
            |table: &&str| PayloadTable { table: (*table).into(), fields: vec![field.clone()], filters: Vec::new() };
        Payload { tables: tables.iter().map(table).collect() }
    }

    fn name(export: &str, settings: &Value, tables: &[&str]) -> Option<String> {
        let export = ResourceId::parse(export).unwrap();
        file_name(OutputFormat::Files, &export, settings.as_object().unwrap(), &payload(tables))
    }

    #[test]
    fn only_names_without_the_run_can_be_written_by_two_exports() {
        assert_eq!(name("a", &json!({}), &["t"]), None);
        let template = |template: &str| json!({"file_name_template": template, "folder": "in/daily"});
        assert_eq!(name("a", &template("{export}-{run}"), &["t"]), None);
        assert_eq!(name("a", &template("all"), &["t", "u"]), None);
        assert_eq!(name("a", &template("all"), &["t"]).unwrap(), "in/daily/all.csv.zst");
        assert_eq!(name("a", &json!({"file_name_template": "x", "max_rows_per_file": 5}), &["t"]), None);
        assert_eq!(name("a", &template("{export}"), &["t"]).unwrap(), "in/daily/a.csv.zst");
        assert_ne!(name("a", &template("{export}"), &["t"]), name("b", &template("{export}"), &["t"]));
        assert_eq!(
            name("a-b", &template("{export}-{table}"), &["c"]),
            name("a", &template("{export}-{table}"), &["b-c"])
        );
        for (one, other) in [("x-{date}", "x-2026-11-24"), ("{time}", "20261124T060000Z"), ("{date}1", "2026-01-011")] {
            assert_eq!(name("a", &template(one), &["t"]), name("b", &template(other), &["t"]), "{one} {other}");
        }
        assert_ne!(name("a", &template("x-2025"), &["t"]), name("b", &template("x-2026"), &["t"]));
        let gzip = json!({"file_name_template": "all", "compression": "gzip"});
        assert_ne!(name("a", &gzip, &["t"]), name("a", &json!({"file_name_template": "all"}), &["t"]));
    }

    #[test]
    fn everything_that_a_destination_does_not_take_is_named() {
        let settings = json!({"file_name_template": "a:b", "null_text": ","});
        let fields = |format, tables: &[&str]| -> Vec<_> {
            let refusals = check(format, settings.as_object().unwrap(), &payload(tables));
            refusals.into_iter().map(|refusal| refusal.field).collect()
        };
        let both = ["destination_settings.null_text", "destination_settings.file_name_template"];
        assert_eq!(fields(OutputFormat::Files, &["t", "u"]), both);
        assert_eq!(fields(OutputFormat::CopyCsv, &["t", "u"]), ["payload.tables"]);
        assert_eq!(fields(OutputFormat::CopyCsv, &["t"]), Vec::<String>::new());
        assert_eq!(fields(OutputFormat::JsonLines, &["t", "u"]), Vec::<String>::new());
    }
}
