//! The threads and the memory that all jobs share.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::halt::Halt;
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

const MIB: usize = 1024 * 1024;
/// MiB of memory that a worker is granted. It covers, for text, the chunks of two units (5 MiB each), a chunk and its
/// compressed form, and a batch; for Parquet, the values of a unit (8 MiB) and an encoded row group of two units.
const WORKER_MIB: u32 = 24;
/// Previews that have memory of their own.
const PREVIEWS: usize = 2;

/// The threads and the memory that all jobs share.
///
/// Each job gets memory for one worker, for which it waits its turn, and more workers while at least half of the memory
/// remains for other jobs. Previews have memory of their own, if there is enough, and do not wait for runs.
///
/// Workers of all jobs take turns on the threads, in the order in which they ask: a worker keeps
/// a thread for about one chunk, and gives it back while it waits for its destination.
#[derive(Clone)]
pub struct Budget {
    threads: usize,
    turns: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    total_mib: usize,
    preview_memory: Arc<Semaphore>,
}

impl Budget {
    /// A budget of at least one thread, and memory for at least one worker.
    pub fn new(threads: usize, memory_bytes: usize) -> Self {
        let threads = threads.clamp(1, Semaphore::MAX_PERMITS);
        let all_mib = (memory_bytes / MIB).clamp(WORKER_MIB as usize, Semaphore::MAX_PERMITS);
        let preview_mib = PREVIEWS * WORKER_MIB as usize;
        let total_mib = if all_mib >= 2 * preview_mib { all_mib - preview_mib } else { all_mib };
        let memory = Arc::new(Semaphore::new(total_mib));
        let preview_memory =
            if total_mib == all_mib { Arc::clone(&memory) } else { Arc::new(Semaphore::new(preview_mib)) };
        Self { threads, turns: Arc::new(Semaphore::new(threads)), memory, total_mib, preview_memory }
    }

    /// Waits for the memory of the one worker of a preview.
    pub async fn preview(&self) -> Result<Workers, DeliveryError> {
        let permit = Arc::clone(&self.preview_memory).acquire_many_owned(WORKER_MIB).await;
        Ok(Workers { count: 1, _memory: permit.map_err(|_| closed())? })
    }

    /// Waits for the memory of a worker, and takes that of more workers if there is enough.
    pub async fn workers(&self) -> Result<Workers, DeliveryError> {
        let permit = Arc::clone(&self.memory).acquire_many_owned(WORKER_MIB).await;
        let mut permit = permit.map_err(|_| closed())?;
        let mut count = 1;
        while count < self.threads && self.memory.available_permits() >= self.total_mib / 2 + WORKER_MIB as usize {
            let Ok(more) = Arc::clone(&self.memory).try_acquire_many_owned(WORKER_MIB) else { break };
            permit.merge(more);
            count += 1;
        }
        Ok(Workers { count, _memory: permit })
    }

    /// A worker's access to the threads.
    pub fn turn<'a>(&'a self, handle: &'a Handle) -> Turn<'a> {
        Turn { turns: &self.turns, handle, permit: None }
    }
}

fn closed() -> DeliveryError {
    DeliveryError::new(FailureCode::Internal, "the memory budget is closed")
}

/// The workers that a job may have, until this is dropped.
pub struct Workers {
    /// Their number, at least one.
    pub count: usize,
    _memory: OwnedSemaphorePermit,
}

/// A worker's turn on a thread of the budget.
pub struct Turn<'a> {
    turns: &'a Semaphore,
    handle: &'a Handle,
    permit: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// Waits for a turn, unless the worker has it.
    pub fn begin(&mut self) -> Result<(), Halt> {
        if self.permit.is_none() {
            self.permit = Some(self.handle.block_on(self.turns.acquire()).map_err(|_| Halt::Stopped)?);
        }
        Ok(())
    }

    /// Ends the turn, so that others can compute while the worker waits.
    pub fn end(&mut self) {
        self.permit = None;
    }
}
