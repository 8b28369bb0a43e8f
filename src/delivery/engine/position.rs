//! Where the rows of a unit are in the files. Units are read in parallel, but a row belongs to the file that the rows
//! before it leave it to. Therefore each unit gets a position from the one before it, cuts its rows, and passes the
//! position behind its last row to the next one, which is fast; compression and the encoding of row groups come after.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::budget::Turn;
use super::halt::Halt;
use super::rows::Rows;

/// Where the next row goes.
#[derive(Default)]
pub struct Position {
    /// Rows of the current file.
    pub rows: u64,
    /// Bytes of the current file, before compression.
    pub bytes: u64,
    /// For Parquet: the row group that is not yet full.
    pub group: Group,
}

/// Rows of a row group.
#[derive(Default)]
pub struct Group {
    /// The rows.
    pub parts: Vec<Rows>,
    /// Number of rows.
    pub rows: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Whether the group is the first of a file that is not the first of the table.
    pub starts_file: bool,
}

/// The limits of a file.
#[derive(Clone, Copy, Debug)]
pub struct FileLimits {
    /// Rows, at most.
    pub rows: Option<u64>,
    /// Bytes before compression, at most.
    pub bytes: Option<u64>,
    /// Bytes of what each file starts with.
    pub start_bytes: u64,
}

impl FileLimits {
    /// Whether there are limits.
    pub fn exist(&self) -> bool {
        self.rows.is_some() || self.bytes.is_some()
    }
}

impl Position {
    /// Counts a row of `bytes` bytes. Returns whether it is the first of a new file, because it would exceed a limit of
    /// the current one. A file has at least one row.
    pub fn add_row(&mut self, bytes: u64, limits: &FileLimits) -> bool {
        let exceeds_rows = limits.rows.is_some_and(|limit| self.rows >= limit);
        let exceeds_bytes = limits.bytes.is_some_and(|limit| self.bytes + limits.start_bytes + bytes > limit);
        let starts_file = self.rows > 0 && (exceeds_rows || exceeds_bytes);
        if starts_file {
            (self.rows, self.bytes) = (0, 0);
        }
        self.rows += 1;
        self.bytes += bytes;
        starts_file
    }
}

/// The position of a unit: it comes from the unit before, and goes to the next one.
pub struct HandOver {
    previous: Receiver<Position>,
    next: SyncSender<Position>,
    position: Option<Position>,
}

impl HandOver {
    /// A hand-over from `previous`, and the receiver for the next one.
    pub fn new(previous: Receiver<Position>) -> (Self, Receiver<Position>) {
        let (next, following) = sync_channel(1);
        (Self { previous, next, position: None }, following)
    }

    /// The receiver for the first unit of a table.
    pub fn first() -> Receiver<Position> {
        let (sender, receiver) = sync_channel(1);
        // The channel has room.
        let _ = sender.send(Position::default());
        receiver
    }

    /// Waits for the position. It remains with the unit until it is passed on.
    pub fn wait(&mut self, turn: &mut Turn<'_>) -> Result<&mut Position, Halt> {
        let position = if let Some(position) = self.position.take() {
            position
        } else {
            turn.end();
            let position = self.previous.recv().map_err(|_| Halt::Stopped)?;
            turn.begin()?;
            position
        };
        Ok(self.position.insert(position))
    }

    /// Passes the position on.
    pub fn pass(&mut self) {
        if let Some(position) = self.position.take() {
            // Fails if the next unit has stopped, which needs none then.
            let _ = self.next.send(position);
        }
    }
}
