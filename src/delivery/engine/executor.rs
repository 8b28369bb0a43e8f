//! Runs jobs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::assembler::{Assembler, MAX_FILES, Remaining};
use super::budget::{Budget, Workers};
use super::group_sink::GroupFormat;
use super::halt::Halt;
use super::job::{Job, PreviewLimit, TablePlan};
use super::outputs::{Outputs, Progress};
use super::settings::RowFormat;
use super::source::{ReadLimits, Units};
use super::text_sink::TextFormat;
use super::worker::{self, Dispatcher, Format, Table};
use crate::delivery::datasets::TableContent;
use crate::delivery::{DeliveryError, Output};
use crate::model::FailureCode;

/// Outputs that wait for the consumer, at most.
const OUTPUT_CAPACITY: usize = 4;
/// Rows of a unit of a text format.
const TEXT_UNIT_ROWS: usize = 32_768;
/// Bytes of the values of a unit of a text format.
const TEXT_UNIT_BYTES: u64 = 4 * 1024 * 1024;
/// Rows of a unit of Parquet.
const PARQUET_UNIT_ROWS: usize = 65_536;
/// Bytes of the values of a unit of Parquet.
const PARQUET_UNIT_BYTES: u64 = 8 * 1024 * 1024;
/// Rows of a table that a preview tests, at most, to find rows that match.
const PREVIEW_SCAN_ROWS: u64 = 131_072;

/// Reads, transforms and encodes tables. All clones share one budget of threads and memory.
///
/// A job has one thread that assembles files and up to as many workers as the budget has threads. Its memory is bounded
/// by its workers, not by its tables: per worker at most two units wait for their turn (4 chunks of 1 MiB, or one row
/// group of Parquet, each), one is encoded (a chunk, or at most 16 MiB of values), and one batch is decoded; besides
/// these, a few chunks wait for the consumer. A single row may exceed these sizes.
#[derive(Clone)]
pub struct Engine {
    budget: Budget,
}

impl Engine {
    /// An engine that computes on at most `threads` threads at the same time and shares `memory_bytes` among jobs.
    pub fn new(threads: usize, memory_bytes: usize) -> Self {
        Self { budget: Budget::new(threads, memory_bytes) }
    }

    /// Waits for the workers of a run. A run has them before its destination is opened, so that nothing waits there.
    pub async fn reserve_run(&self) -> Result<Workers, DeliveryError> {
        self.budget.workers().await
    }

    /// Waits for the worker of a preview.
    pub async fn reserve_preview(&self) -> Result<Workers, DeliveryError> {
        self.budget.preview().await
    }

    /// Starts a job. Must be called within a Tokio runtime.
    ///
    /// The receiver gets the outputs in order. Its end without an error means that the output is complete. An error is
    /// the last item: of the job, or INTERNAL if it was stopped or a thread panicked. The job ends soon when `stop` is
    /// cancelled or the receiver is dropped.
    pub fn start(
        &self,
        job: Job,
        workers: Workers,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) -> mpsc::Receiver<Result<Output, DeliveryError>> {
        // One slot is reserved for the error, which may have to be sent while the channel is full.
        let (sender, receiver) = mpsc::channel(OUTPUT_CAPACITY + 1);
        let Ok(last) = sender.clone().try_reserve_owned() else { return receiver };
        let outputs = Outputs::new(sender, progress, stop, Handle::current());
        let budget = self.budget.clone();
        let run = move || {
            let result = catch_unwind(AssertUnwindSafe(|| run(job, &workers, &budget, &outputs)));
            let error = match result {
                Ok(Ok(())) => return,
                Ok(Err(Halt::Failed(error))) => error,
                Ok(Err(Halt::Stopped)) => DeliveryError::new(FailureCode::Internal, "the job was stopped"),
                Err(_) => DeliveryError::new(FailureCode::Internal, "a thread of the engine panicked"),
            };
            last.send(Err(error));
        };
        if let Err(cause) = thread::Builder::new().name("engine".to_owned()).spawn(run) {
            // The closure was dropped, and with it both senders: a new channel carries the error.
            let (sender, receiver) = mpsc::channel(1);
            let _ = sender.try_send(Err(DeliveryError::with(FailureCode::Internal, "cannot start a thread", cause)));
            return receiver;
        }
        receiver
    }
}

fn run(job: Job, workers: &Workers, budget: &Budget, outputs: &Outputs) -> Result<(), Halt> {
    let mut job = job;
    let tables = std::mem::take(&mut job.tables);
    let bytes = job.limit.map_or(u64::MAX, |limit| limit.bytes);
    let mut remaining = Remaining { files: MAX_FILES, bytes };
    for (plan, content) in tables {
        run_table(&job, plan, content, budget, workers.count, outputs, &mut remaining)?;
    }
    Ok(())
}

fn run_table(
    job: &Job,
    plan: Arc<TablePlan>,
    content: TableContent,
    budget: &Budget,
    workers: usize,
    outputs: &Outputs,
    remaining: &mut Remaining,
) -> Result<(), Halt> {
    let format = match &job.encoding.format {
        RowFormat::Csv(settings) => Format::Text(TextFormat::new(job, &plan, Some(settings))),
        RowFormat::JsonLines => Format::Text(TextFormat::new(job, &plan, None)),
        RowFormat::Parquet(compression) => Format::Parquet(GroupFormat::new(job, &plan, *compression)?),
    };
    let units = Units::new(&plan, content, read_limits(job.limit, &format));
    let table = Table { plan, format };
    let mut assembler = Assembler::new(job, &table, outputs, remaining)?;
    if assembler.start()? {
        let (dispatcher, pieces) = Dispatcher::new(units, &table.format, workers);
        thread::scope(|scope| {
            for _ in 0..workers {
                let turn = budget.turn(outputs.handle());
                let work = || worker::run(&table, &dispatcher, outputs, turn);
                let started = thread::Builder::new().name("engine-worker".to_owned()).spawn_scoped(scope, work);
                started.map_err(|cause| DeliveryError::with(FailureCode::Internal, "cannot start a thread", cause))?;
            }
            let result = assembler.assemble(&pieces);
            // Ends the workers, which the scope waits for.
            drop(pieces);
            result
        })?;
    }
    assembler.finish()
}

fn read_limits(limit: Option<PreviewLimit>, format: &Format) -> ReadLimits {
    match (limit, format) {
        (Some(limit), _) => ReadLimits::first(usize::try_from(limit.rows).unwrap_or(usize::MAX), PREVIEW_SCAN_ROWS),
        (None, Format::Text(_)) => ReadLimits::complete(TEXT_UNIT_ROWS, TEXT_UNIT_BYTES),
        (None, Format::Parquet(_)) => ReadLimits::complete(PARQUET_UNIT_ROWS, PARQUET_UNIT_BYTES),
    }
}
