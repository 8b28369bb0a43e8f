//! Arbitrary and mutated file-name templates, destination settings, and locations of datasets.

use uuid::Uuid;

use super::datasets::{DatasetSettings, Datasets, SourceSettings};
use super::export_check;
use super::layout::Layout;
use super::output::OutputFormat;
use crate::dialer::Dialer;
use crate::fuzzing;
use crate::model::{ExportName, OrganizationId, Payload, PayloadTable, ResourceId, Secret, is_unsafe};

fn export() -> ExportName {
    let organization = OrganizationId::parse("acme").unwrap();
    ExportName { organization, id: ResourceId::parse("weekly").unwrap() }
}

#[test]
fn any_template_makes_safe_names_or_is_refused() {
    let templates =
        ["{export}-{table}-{time}-{run}", "Kunden äöü {date}", "{run}{run}{run}", "{{run}}", "a-2026-11-24"];
    let tables = ["customers", "a/../b", "..", "\0\n", &"é".repeat(100)];
    fuzzing::check("templates of file names", 2_000, &fuzzing::text(&templates), |template| {
        let time = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        match Layout::new(export(), Uuid::nil(), time, &template) {
            Ok(layout) => {
                for table in tables {
                    let path = Layout::single_manifest(&layout.single_file(table, "csv.zst"));
                    assert!(path.len() <= 255 && !path.starts_with('.') && !path.contains(['/', '\\']), "{path:?}");
                    assert!(!path.contains(char::is_control), "{path:?}");
                }
            }
            Err(problem) => assert!(problem.chars().count() < 200 && !problem.contains(is_unsafe), "{problem}"),
        }
    });
}

#[test]
fn any_destination_settings_are_accepted_or_refused_by_name() {
    let keys = [
        "file_format",
        "delimiter",
        "include_header",
        "quoting",
        "null_text",
        "line_ending",
        "byte_order_mark",
        "formula_guard",
        "compression",
        "parquet_compression",
        "max_rows_per_file",
        "max_bytes_per_file",
        "file_name_template",
        "folder",
    ];
    let values = [
        "csv",
        "jsonl",
        "parquet",
        "comma",
        "semicolon",
        "tab",
        "crlf",
        "lf",
        "gzip",
        "zstd",
        "snappy",
        "none",
        "all",
        "necessary",
        "{export}-{date}",
        "in/daily",
        "NULL",
        "\"",
        "1000",
    ];
    let table = PayloadTable { table: "t".to_owned(), fields: Vec::new(), filters: Vec::new() };
    let payload = Payload { tables: vec![table] };
    let input = fuzzing::object(keys.map(ToOwned::to_owned).to_vec(), &values);
    fuzzing::check("destination settings", 500, &input, |settings| {
        for format in [OutputFormat::Files, OutputFormat::CopyCsv, OutputFormat::JsonLines] {
            let refusals = export_check::check(format, &settings, &payload);
            assert!(refusals.iter().all(|refusal| !refusal.field.contains(is_unsafe)));
            let name = export_check::file_name(format, &export().id, &settings, &payload);
            assert!(name.is_none_or(|name| !name.is_empty()));
        }
    });
}

#[test]
fn any_location_of_datasets_is_parsed_or_refused_without_its_secrets() {
    let locations = [
        "./datasets",
        "s3://bucket/a/b?region=eu-central-1&allow_http=true",
        "az://container?account_name=acme",
        "gs://bucket/prefix",
        "postgres://reader@db:5433/warehouse?sslmode=disable&schema=x",
        "s3://[::1]/x",
    ];
    let dialer = Dialer::default();
    fuzzing::check("locations of datasets", 400, &fuzzing::text(&locations), |location| {
        for secret in [None, Some("password"), Some("secret_access_key")] {
            let secrets = secret.map(|key| (key.to_owned(), Secret::new("hunter2".to_owned()))).into_iter().collect();
            let source = SourceSettings { location: location.clone(), secrets };
            let settings = DatasetSettings { default: Some(source), ..DatasetSettings::default() };
            if let Err(error) = Datasets::new(settings, &dialer) {
                assert!(!error.to_string().contains("hunter2"), "{error}");
            }
        }
    });
}
