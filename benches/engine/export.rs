//! The engine: exports 8 fields, one of them hashed, to a file.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use outflow::delivery::datasets::{PinnedTable, SourceFile, TableContent};
use outflow::delivery::engine::{EncodingSettings, Engine, Job, PreviewLimit, Progress};
use outflow::delivery::layout::{DEFAULT_TEMPLATE, Layout};
use outflow::delivery::{Output, OutputFormat};
use outflow::model::{
    DatasetField, ExportName, FieldType, OrganizationId, PayloadField, PayloadTable, ResourceId, Transform,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cpu_time::cpu_time;

/// Memory of the engine in bytes, as by default.
pub const MEMORY: usize = 256 << 20;

/// The fields that are exported, and whether they are hashed.
pub const FIELDS: [(&str, FieldType, bool); 8] = [
    ("id", FieldType::Integer, false),
    ("email", FieldType::String, true),
    ("segment", FieldType::String, false),
    ("country", FieldType::String, false),
    ("lifetime_value", FieldType::Decimal { precision: 12, scale: 2 }, false),
    ("score", FieldType::Double, false),
    ("signup_date", FieldType::Date, false),
    ("updated_at", FieldType::Timestamp, false),
];

/// How long an export takes.
pub struct Times {
    /// By the clock.
    pub elapsed: Duration,
    /// Of all threads together. It depends less on what else the machine does.
    pub cpu: Duration,
}

/// Exports a Parquet file to another file.
pub fn run(source: &Path, settings: &str, target: &Path, threads: usize) -> Times {
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut file = File::create(target).expect("a file");
    export(source, settings, None, threads, |bytes| file.write_all(bytes).expect("a chunk is written"));
    drop(file);
    Times { elapsed: start.elapsed(), cpu: cpu_time().saturating_sub(cpu) }
}

/// Shows the first rows of a Parquet file. Returns the time that it takes.
pub fn preview(source: &Path, settings: &str) -> Duration {
    let start = Instant::now();
    let mut bytes = 0;
    export(source, settings, Some(PreviewLimit { rows: 100, bytes: 64 * 1024 }), 1, |chunk| bytes += chunk.len());
    assert!(bytes > 1_000, "the preview has rows");
    start.elapsed()
}

fn export(source: &Path, settings: &str, limit: Option<PreviewLimit>, threads: usize, mut write: impl FnMut(&[u8])) {
    let job = job(source, settings, limit, Uuid::nil());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let engine = Engine::new(threads, MEMORY);
    let mut outputs = runtime.block_on(async {
        let workers = if limit.is_some() { engine.reserve_preview().await } else { engine.reserve_run().await };
        engine.start(job, workers.expect("workers"), Arc::new(Progress::default()), CancellationToken::new())
    });
    while let Some(output) = outputs.blocking_recv() {
        if let Output::Chunk(chunk) = output.expect("an output") {
            write(&chunk.bytes);
        }
    }
}

/// The job of a run.
pub fn job(source: &Path, settings: &str, limit: Option<PreviewLimit>, run: Uuid) -> Job {
    Job::plan(vec![(payload(), pinned(source))], encoding(settings), layout(run), limit).expect("a job")
}

/// The path of the manifest of a run.
pub fn manifest_path(settings: &str, run: Uuid) -> String {
    Job::manifest_path(&[payload()], &encoding(settings), &layout(run))
}

fn encoding(settings: &str) -> EncodingSettings {
    let settings = serde_json::from_str(settings).expect("an object");
    EncodingSettings::new(OutputFormat::Files, &settings).expect("valid settings")
}

fn payload() -> PayloadTable {
    let field = |(name, _, is_hashed): &(&str, FieldType, bool)| PayloadField {
        field: (*name).to_owned(),
        output_name: String::new(),
        transform: if *is_hashed { Transform::Sha256 } else { Transform::None },
        field_type: None,
    };
    PayloadTable { table: "source".to_owned(), fields: FIELDS.iter().map(field).collect(), filters: Vec::new() }
}

fn pinned(source: &Path) -> PinnedTable {
    let field = |(name, field_type, _): &(&str, FieldType, bool)| DatasetField {
        name: (*name).to_owned(),
        field_type: *field_type,
    };
    PinnedTable {
        table: "source".to_owned(),
        schema: crate::table::batch(0, 1).schema(),
        fields: FIELDS.iter().map(field).collect(),
        content: TableContent::Parquet(vec![SourceFile::open_local(source.to_owned()).expect("a file")]),
        estimated_rows: None,
        estimated_bytes: None,
    }
}

fn layout(run: Uuid) -> Layout {
    let organization = OrganizationId::parse("acme").expect("an id");
    let id = ResourceId::parse("bench").expect("an id");
    Layout::new(ExportName { organization, id }, run, DateTime::UNIX_EPOCH, DEFAULT_TEMPLATE).expect("a template")
}

/// Peak of the resident memory of this process.
pub fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of the process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}
