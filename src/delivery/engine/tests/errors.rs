//! Failures: of plans, of sources, of threads; and jobs that are stopped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use futures_util::FutureExt as _;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::parallel::rows;
use super::support::{Tables, all_fields, all_types, field, job, run, settings, table};
use crate::delivery::datasets::{RowSource, TableContent};
use crate::delivery::engine::{Engine, Job, Progress};
use crate::delivery::{DeliveryError, Output};
use crate::model::{Comparison, FailureCode, PayloadFilter, PayloadTable, Transform};

#[test]
fn plans_name_all_fields_that_they_cannot_use() {
    let tables = Tables::new();
    let filter = |field: &str, value| PayloadFilter {
        field: field.to_owned(),
        comparison: Comparison::Equals,
        values: vec![value],
    };
    let plan = |fields, filters| {
        let payload = PayloadTable { fields, filters, ..all_fields("t") };
        job(vec![(payload, tables.parquet("t", &[all_types()], 10))], settings(&json!({}))).map(|_| ())
    };
    let one = || field("id", "", Transform::None);
    let error = plan(vec![one(), field("gone", "", Transform::None)], vec![filter("lost", json!(1))]).unwrap_err();
    assert_eq!(error.code, FailureCode::FieldMissing);
    assert!(error.detail.contains("`gone`") && error.detail.contains("`lost`"), "{}", error.detail);
    let error = plan(vec![one()], vec![filter("day", json!(5)), filter("flag", json!("x"))]).unwrap_err();
    assert_eq!(error.code, FailureCode::FieldTypeChanged);
    assert!(error.detail.contains("`day`") && error.detail.contains("`flag`"), "{}", error.detail);
    assert!(plan(vec![one(), field("small", "id", Transform::None)], vec![]).is_err(), "equal names");
    assert!(plan(vec![one()], vec![filter("id", json!(5))]).is_ok());
}

#[test]
fn a_changed_or_corrupt_source_is_an_error() {
    let tables = Tables::new();
    let make = |name: &str| tables.parquet(name, &[rows(0, 1_000, 1)], 100);
    let export = |table| run(job(vec![(all_fields("t"), table)], settings(&json!({}))).unwrap(), 2).unwrap_err();
    let removed = make("removed");
    std::fs::remove_file(tables.directory.path().join("removed.parquet")).unwrap();
    assert_eq!(export(removed).code, FailureCode::SourceChanged);
    let shorter = make("shorter");
    std::fs::write(tables.directory.path().join("shorter.parquet"), b"PAR1").unwrap();
    assert_eq!(export(shorter).code, FailureCode::SourceChanged);
    make("corrupt");
    let path = tables.directory.path().join("corrupt.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4..4_000].fill(0xff);
    let file = tables.file("corrupt2.parquet", &bytes);
    let corrupt = table("corrupt", &rows(0, 1, 1).schema(), TableContent::Parquet(vec![file]));
    assert_eq!(export(corrupt).code, FailureCode::SourceChanged);
    let text = tables.file("text.parquet", "no Parquet at all");
    let no_parquet = table("t", &rows(0, 1, 1).schema(), TableContent::Parquet(vec![text]));
    assert_eq!(export(no_parquet).code, FailureCode::SourceChanged);
}

#[test]
fn values_without_a_text_are_named_by_their_column() {
    let tables = Tables::new();
    let days: ArrayRef = Arc::new(Date32Array::from(vec![0, i32::MAX]));
    let batch = RecordBatch::try_from_iter([("born", days)]).unwrap();
    for fields in [vec![], vec![field("born", "born", Transform::Sha256)]] {
        let payload = PayloadTable { fields, ..all_fields("t") };
        let table = tables.parquet("t", std::slice::from_ref(&batch), 10);
        let error = run(job(vec![(payload, table)], settings(&json!({}))).unwrap(), 1).unwrap_err();
        assert_eq!(error.code, FailureCode::ValueNotEncodable);
        assert!(error.detail.contains("`born`") && error.detail.contains("9999"), "{}", error.detail);
    }
}

/// A query without end that reports each read, and panics at one of them.
struct Scripted {
    batch: RecordBatch,
    panics_at: usize,
    reads: usize,
    reports: Sender<usize>,
}

#[async_trait::async_trait]
impl RowSource for Scripted {
    async fn next(&mut self) -> Result<Option<RecordBatch>, DeliveryError> {
        self.reads += 1;
        assert!(self.reads != self.panics_at, "the source panics, as the test wants");
        // Fails when the test is over.
        let _ = self.reports.send(self.reads);
        Ok(Some(self.batch.clone()))
    }
}

/// A source that never responds.
struct Silent;

#[async_trait::async_trait]
impl RowSource for Silent {
    async fn next(&mut self) -> Result<Option<RecordBatch>, DeliveryError> {
        std::future::pending().await
    }
}

/// A job of a scripted source. The receiver is disconnected when no thread uses the source any more.
fn scripted(panics_at: usize) -> (Job, Receiver<usize>) {
    let (reports, reads) = channel();
    let batch = rows(0, 8_000, 1);
    let schema = batch.schema();
    let source = Scripted { batch, panics_at, reads: 0, reports };
    let pinned = table("t", &schema, TableContent::Rows(Box::new(source)));
    (job(vec![(all_fields("t"), pinned)], settings(&json!({"compression": "none"}))).unwrap(), reads)
}

#[test]
fn a_panic_of_a_thread_is_an_error() {
    for threads in [1, 3] {
        for panics_at in [1, 30] {
            let (job, _reads) = scripted(panics_at);
            let error = run(job, threads).unwrap_err();
            assert_eq!(error.code, FailureCode::Internal);
        }
    }
}

/// Waits until all threads of a job have ended: the source is dropped with the last one.
fn wait_for_end(reads: &Receiver<usize>) {
    loop {
        match reads.recv_timeout(Duration::from_mins(1)) {
            Ok(_) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("the threads did not end"),
        }
    }
}

#[test]
fn threads_end_when_the_receiver_is_dropped() {
    let runtime = Runtime::new().unwrap();
    let engine = Engine::new(3, 1 << 30);
    for received in [0, 1, 20] {
        let (job, reads) = scripted(usize::MAX);
        runtime.block_on(async {
            let workers = engine.reserve_run().await.unwrap();
            let mut outputs = engine.start(job, workers, Arc::new(Progress::default()), CancellationToken::new());
            for _ in 0..received {
                outputs.recv().await.unwrap().unwrap();
            }
        });
        wait_for_end(&reads);
    }
}

#[test]
fn threads_end_with_an_error_when_the_job_is_cancelled() {
    let runtime = Runtime::new().unwrap();
    let engine = Engine::new(2, 1 << 30);
    let (job, reads) = scripted(usize::MAX);
    let stop = CancellationToken::new();
    let mut outputs = runtime.block_on(start(&engine, job, &stop));
    // The channel fills up first, because nothing is received.
    assert!(reads.recv_timeout(Duration::from_mins(1)).is_ok());
    stop.cancel();
    wait_for_end(&reads);
    let error = runtime.block_on(async {
        loop {
            match outputs.recv().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("the end of an incomplete output looks like success"),
            }
        }
    });
    assert_eq!(error.code, FailureCode::Internal);
}

#[test]
fn a_job_ends_although_its_source_does_not_respond() {
    let runtime = Runtime::new().unwrap();
    // Memory for one job.
    let engine = Engine::new(1, 1);
    let silent = || {
        let pinned = table("t", &rows(0, 1, 1).schema(), TableContent::Rows(Box::new(Silent)));
        job(vec![(all_fields("t"), pinned)], settings(&json!({"compression": "none"}))).unwrap()
    };
    let stop = CancellationToken::new();
    let _cancelled = runtime.block_on(start(&engine, silent(), &stop));
    stop.cancel();
    // Waits until the first one has given its memory back.
    let abandoned = runtime.block_on(start(&engine, silent(), &CancellationToken::new()));
    drop(abandoned);
    assert!(runtime.block_on(engine.reserve_run()).is_ok());
}

async fn start(engine: &Engine, job: Job, stop: &CancellationToken) -> mpsc::Receiver<Result<Output, DeliveryError>> {
    engine.start(job, engine.reserve_run().await.unwrap(), Arc::new(Progress::default()), stop.clone())
}

#[test]
fn a_job_keeps_its_memory_until_it_ends_and_previews_have_their_own() {
    let runtime = Runtime::new().unwrap();
    // Memory for two runs and two previews.
    let engine = Engine::new(1, 96 << 20);
    let runs: Vec<_> = (0..2).map(|_| runtime.block_on(engine.reserve_run()).unwrap()).collect();
    assert!(engine.reserve_run().now_or_never().is_none());
    let previews: Vec<_> = (0..2).map(|_| runtime.block_on(engine.reserve_preview()).unwrap()).collect();
    assert!(engine.reserve_preview().now_or_never().is_none());
    drop((runs, previews));

    // Memory for one job, whatever it is.
    let engine = Engine::new(1, 1);
    let (job, reads) = scripted(usize::MAX);
    let stop = CancellationToken::new();
    let _running = runtime.block_on(start(&engine, job, &stop));
    assert!(reads.recv_timeout(Duration::from_mins(1)).is_ok());
    assert!(engine.reserve_preview().now_or_never().is_none());
    stop.cancel();
    assert!(runtime.block_on(engine.reserve_preview()).is_ok());
}
