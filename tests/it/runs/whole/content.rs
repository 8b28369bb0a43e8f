//! The datasets, and what a run must deliver of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use chrono::DateTime;
use outflow::grpc::proto as pb;
use parquet::arrow::ArrowWriter;

/// Each table and the number of its rows that a run delivers. A file with all customers has more bytes than one part of an
/// upload.
const TABLES: [(&str, i64); 3] = [("customers", 34_000), ("orders", 1_000), ("events", 500)];
/// Rows that a table has in addition: each run delivers others, and always the same number of bytes.
const MORE_ROWS: i64 = 200;
/// The smallest id. All ids have the same number of digits.
pub const FIRST_ID: i64 = 100_000;
/// Rows of a file, if there are several: the first file of the customers is an upload in parts, the second is small.
pub const MAX_ROWS_PER_FILE: i64 = 32_500;

/// How many tables and files an export has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One table in one file that replaces that of the run before.
    One,
    /// Two tables in several files, in a folder of the run.
    Several,
}

/// What a run must deliver.
pub struct Expected {
    /// Name of the run.
    pub run: String,
    /// The ids of the rows of each table.
    pub rows: Vec<(&'static str, Range<i64>)>,
    /// Path and content of each file.
    pub files: BTreeMap<String, Bytes>,
    /// Path of the manifest.
    pub manifest_path: String,
    /// The files of an earlier run, which may be there until they are replaced.
    pub earlier: BTreeMap<String, Bytes>,
}

impl Expected {
    /// What a run delivers of the rows from the id `first` of some tables.
    pub fn new(run: &pb::ExportRun, shape: Shape, tables: &[&'static str], first: i64) -> Self {
        let (export, uid) = run.name.split_once("/runs/").expect("the name of a run");
        let export = export.rsplit('/').next().expect("an id");
        let rows: Vec<_> = tables.iter().map(|table| (*table, ids(table, first))).collect();
        let created = run.create_time.expect("a time");
        let created = DateTime::from_timestamp(created.seconds, 0).expect("a time").format("%Y%m%dT%H%M%SZ");
        let folder = format!("{export}/{created}-{uid}");
        let (files, manifest_path) = match shape {
            Shape::One => {
                let file = format!("{export}.csv");
                let manifest_path = format!("{file}.manifest.json");
                (BTreeMap::from([(file, csv(&rows[0].1))]), manifest_path)
            }
            Shape::Several => {
                let parts = rows.iter().flat_map(|(table, ids)| {
                    let starts = ids.clone().step_by(usize::try_from(MAX_ROWS_PER_FILE).expect("small"));
                    let folder = &folder;
                    starts.enumerate().map(move |(index, start)| {
                        let path = format!("{folder}/{table}/part-{index:05}.csv");
                        (path, csv(&(start..ids.end.min(start + MAX_ROWS_PER_FILE))))
                    })
                });
                (parts.collect(), format!("{folder}/_SUCCESS.json"))
            }
        };
        Self { run: run.name.clone(), rows, files, manifest_path, earlier: BTreeMap::new() }
    }

    /// Number of rows.
    pub fn count(&self) -> i64 {
        self.rows.iter().map(|(_, ids)| ids.end - ids.start).sum()
    }

    /// Number of bytes of the files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|content| content.len() as u64).sum()
    }

    /// The id of the run.
    pub fn uid(&self) -> &str {
        self.run.rsplit('/').next().expect("an id")
    }
}

/// The ids of the rows that a run delivers of a table, from the id `first`.
pub fn ids(table: &str, first: i64) -> Range<i64> {
    let (_, count) = TABLES.iter().find(|(name, _)| *name == table).expect("a known table");
    assert!((FIRST_ID..=FIRST_ID + MORE_ROWS).contains(&first), "a table has {MORE_ROWS} more rows");
    first..first + count
}

/// The text of the row with an id.
pub fn text(id: i64) -> String {
    let hash = id.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{hash:016x}").repeat(16)
}

/// The lines of all rows, and where each of them begins.
static LINES: LazyLock<(String, Vec<usize>)> = LazyLock::new(|| {
    let (mut lines, mut starts) = (String::new(), vec![0]);
    for id in FIRST_ID..FIRST_ID + TABLES[0].1 + MORE_ROWS {
        write!(lines, "{id},{}\r\n", text(id)).expect("a string");
        starts.push(lines.len());
    }
    (lines, starts)
});

/// The file with the rows of these ids.
fn csv(ids: &Range<i64>) -> Bytes {
    let (lines, starts) = &*LINES;
    let start = |id: i64| starts[usize::try_from(id - FIRST_ID).expect("an id")];
    ["id,text\r\n", &lines[start(ids.start)..start(ids.end)]].concat().into()
}

/// Writes the datasets of the organization `acme` below a location.
pub fn write_datasets(location: &Path) {
    let directory = location.join("acme");
    std::fs::create_dir_all(&directory).expect("created");
    for (table, count) in TABLES {
        let all = FIRST_ID..FIRST_ID + count + MORE_ROWS;
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(all.clone()));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(all.map(text)));
        let batch = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).expect("columns of one length");
        let file = File::create(directory.join(format!("{table}.parquet"))).expect("created");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("complete");
    }
}
