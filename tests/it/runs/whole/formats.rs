//! Files in every format: each destination receives the same bytes. `tests/clients/readers.py` reads those of one of them with
//! another implementation.

use std::fmt::Write as _;
use std::path::Path;

use futures_util::future::join_all;
use outflow::delivery::Manifest;
use outflow::grpc::proto as pb;
use pb::export_run::State;
use serde_json::{Map, Value, json};

use super::files::{FileSide, file_sides};
use super::service::{Files, Service, connect, to_struct};
use crate::support::{Backend, Client, parent};

/// Rows of the table, and of a file if there are several.
const ROWS: usize = 2_000;
const ROWS_PER_FILE: usize = 700;
/// The values of a row after its id, as they are in a CSV file.
const VALUES: [&str; 4] = [
    "\"a \"\"quoted\"\" word, and a comma\",12.30,0.1,2026-11-24,2026-11-24T10:00:00.123456Z,true",
    "\"line\r\nbreaks\n\",-99999999.99,-1e300,0001-01-01,1969-12-31T23:59:59Z,false",
    "🦀 ä 漢字,0.00,5e-324,9999-12-31,2026-03-29T01:30:00Z,",
    ",,,,,",
];

/// The settings of an export for each format.
fn formats() -> Vec<Value> {
    let mut formats = Vec::new();
    for compression in ["none", "gzip", "zstd"] {
        for format in ["csv", "jsonl"] {
            formats.push(json!({"file_format": format, "compression": compression}));
        }
    }
    for compression in ["none", "snappy", "zstd"] {
        formats.push(json!({"file_format": "parquet", "parquet_compression": compression}));
    }
    for delimiter in ["semicolon", "tab", "pipe"] {
        formats.push(json!({"file_format": "csv", "compression": "none", "delimiter": delimiter, "quoting": "all"}));
    }
    formats.push(json!({
        "file_format": "csv", "compression": "none", "null_text": "NULL", "line_ending": "lf", "byte_order_mark": true,
        "include_header": false, "formula_guard": true,
    }));
    formats
}

/// Writes a table with rows and one without.
fn write_datasets(location: &Path) {
    let directory = location.join("acme");
    std::fs::create_dir_all(&directory).expect("created");
    let header = "id,text,amount,ratio,day,seen,flag\n";
    let mut lines = header.to_owned();
    for id in 0..ROWS {
        writeln!(lines, "{id},{}", VALUES[id % VALUES.len()]).expect("a string");
    }
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let fields = json!({"fields": [
        field("id", "integer"), field("text", "string"),
        {"name": "amount", "type": "decimal", "precision": 10, "scale": 2},
        field("ratio", "double"), field("day", "date"), field("seen", "timestamp"), field("flag", "boolean"),
    ]});
    for (table, content) in [("everything", lines.as_str()), ("nothing", header)] {
        std::fs::write(directory.join(format!("{table}.csv")), content).expect("written");
        std::fs::write(directory.join(format!("{table}.schema.json")), fields.to_string()).expect("written");
    }
}

/// Starts a run of a new export of these tables, and returns its name.
async fn start(admin: &mut Client, connection: &str, tables: &[&str], settings: &Map<String, Value>) -> String {
    let table = |table: &&str| pb::PayloadTable { table: (*table).to_owned(), ..pb::PayloadTable::default() };
    let export = pb::Export {
        display_name: "Format".to_owned(),
        connection: connection.to_owned(),
        payload: Some(pb::Payload { tables: tables.iter().map(table).collect() }),
        destination_settings: Some(to_struct(settings)),
        ..pb::Export::default()
    };
    let request = pb::CreateExportRequest { parent: parent(), export: Some(export), ..Default::default() };
    let created = admin.exports.create_export(request).await.expect("created").into_inner();
    admin.run(&created.export.expect("an export").name).await.expect("queued").name
}

/// The table, the number of rows and the content of each file in a folder, in the order of the manifest.
async fn delivered(side: &dyn FileSide, folder: &str) -> Vec<(String, u64, Vec<u8>)> {
    let paths = super::files::Files::list(side, folder).await;
    let is_manifest = |path: &&String| path.ends_with("_SUCCESS.json") || path.ends_with(".manifest.json");
    let [path] = paths.iter().filter(is_manifest).collect::<Vec<_>>()[..] else { panic!("one manifest in {paths:?}") };
    let manifest = side.read(folder, path).await.expect("the manifest");
    let manifest: Manifest = serde_json::from_slice(&manifest).expect("a manifest");
    assert_eq!(paths.len(), manifest.files.len() + 1, "{paths:?}");
    let mut files = Vec::new();
    for file in manifest.files {
        let content = side.read(folder, &file.path).await.expect("a file of the manifest");
        assert_eq!(content.len() as u64, file.bytes, "{}", file.path);
        files.push((file.table, file.rows, content.to_vec()));
    }
    files
}

/// Delivers every format to a destination. Returns the files of each export.
async fn deliver_all(service: &Service, side: &dyn FileSide) -> Vec<Vec<(String, u64, Vec<u8>)>> {
    let mut admin = service.admin().await;
    let connection = connect(&mut admin, side).await;
    let mut started = Vec::new();
    for (number, format) in formats().into_iter().enumerate() {
        let cases = [(vec!["everything"], 0), (vec!["nothing"], 0), (vec!["everything", "nothing"], ROWS_PER_FILE)];
        for (case, (tables, rows_per_file)) in cases.into_iter().enumerate() {
            let folder = format!("format-{number}-{case}");
            let mut settings = format.as_object().expect("an object").clone();
            settings.insert("folder".to_owned(), json!(folder));
            if rows_per_file > 0 {
                settings.insert("max_rows_per_file".to_owned(), json!(rows_per_file));
            }
            started.push((start(&mut admin, &connection, &tables, &settings).await, folder));
        }
    }
    let mut results = Vec::new();
    for (run, folder) in started {
        let run = admin.follow(&run).await;
        assert_eq!(run.state(), State::Succeeded, "{run:?}");
        results.push(delivered(side, &folder).await);
    }
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn every_destination_receives_the_same_files_in_every_format() {
    let (files, outbox) = (Files::new(), tempfile::tempdir().expect("a directory"));
    write_datasets(&files.path("datasets"));
    let sides = file_sides(outbox.path()).await;
    let authorities: String = sides.iter().map(|side| side.authorities()).collect();
    let service = Service::start(Backend::Postgres, files, outbox.path(), &authorities).await;
    let results = join_all(sides.iter().map(|side| deliver_all(&service, side.as_ref()))).await;
    for (number, exports) in results.iter().enumerate() {
        for (export, (found, local)) in exports.iter().zip(&results[0]).enumerate() {
            let describe = |files: &[(String, u64, Vec<u8>)]| {
                files.iter().map(|(table, rows, content)| (table.clone(), *rows, content.len())).collect::<Vec<_>>()
            };
            assert_eq!(describe(found), describe(local), "export {export} at destination {number}");
            assert!(found == local, "export {export} at destination {number} has other bytes");
        }
    }
    let files_of = |exports: &[Vec<_>]| exports.iter().map(Vec::len).sum::<usize>();
    let per_format = 1 + 1 + ROWS.div_ceil(ROWS_PER_FILE) + 1;
    assert_eq!(files_of(&results[0]), formats().len() * per_format);
}
