//! The channel to the consumer of a job, and its progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::halt::Halt;
use crate::delivery::{DeliveryError, Output};

/// Counts of a running job.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows read from the datasets, before filters. Row groups that were skipped by their statistics do not count.
    pub rows_read: AtomicU64,
    /// Rows that were sent to the consumer.
    pub rows_written: AtomicU64,
    /// Bytes that were sent to the consumer.
    pub bytes: AtomicU64,
}

/// Sends the output of a job to its consumer.
pub struct Outputs {
    sender: Sender<Result<Output, DeliveryError>>,
    progress: Arc<Progress>,
    stop: CancellationToken,
    handle: Handle,
}

impl Outputs {
    /// Outputs that end when `stop` is cancelled or the receiver is dropped.
    pub fn new(
        sender: Sender<Result<Output, DeliveryError>>,
        progress: Arc<Progress>,
        stop: CancellationToken,
        handle: Handle,
    ) -> Self {
        Self { sender, progress, stop, handle }
    }

    /// Whether the output is not needed any more.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled() || self.sender.is_closed()
    }

    /// Waits until the consumer has room, and sends.
    pub fn send(&self, output: Output) -> Result<(), Halt> {
        if let Output::Chunk(chunk) = &output {
            self.progress.rows_written.fetch_add(chunk.rows, Ordering::Relaxed);
            self.progress.bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        }
        self.wait(async { self.sender.send(Ok(output)).await.map_err(|_| Halt::Stopped) })?
    }

    /// Waits for a future, or until the job is stopped.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Halt> {
        self.handle.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(Halt::Stopped),
                () = self.sender.closed() => Err(Halt::Stopped),
                result = future => Ok(result),
            }
        })
    }

    /// Counts rows that were read.
    pub fn add_rows_read(&self, rows: u64) {
        self.progress.rows_read.fetch_add(rows, Ordering::Relaxed);
    }

    /// The runtime of the consumer.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}
