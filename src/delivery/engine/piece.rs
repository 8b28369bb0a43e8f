//! What workers hand to the thread that assembles files.

use std::sync::mpsc::SyncSender;

use parquet::arrow::arrow_writer::ArrowColumnChunk;

use super::budget::Turn;
use super::halt::Halt;
use crate::delivery::DeliveryError;

/// A part of the output of a unit, in order.
pub enum Piece {
    /// Bytes of the current file that end at the end of a row, compressed if the file is.
    Data {
        /// The bytes.
        bytes: Vec<u8>,
        /// Number of rows.
        rows: u64,
    },
    /// An encoded row group of a Parquet file.
    Group {
        /// Its columns.
        columns: Vec<ArrowColumnChunk>,
        /// Number of rows.
        rows: u64,
    },
    /// What follows belongs to a new file.
    NextFile,
    /// The unit failed.
    Failed(DeliveryError),
    /// The unit is complete. Without it, its worker panicked or was stopped.
    End {
        /// Whether it was the last one of the table.
        is_last: bool,
    },
}

/// Sends the pieces of a unit.
pub struct PieceSender<'a> {
    /// The turn of the worker.
    pub turn: Turn<'a>,
    /// The channel of the unit.
    pub pieces: SyncSender<Piece>,
}

impl PieceSender<'_> {
    /// Sends a piece. The worker lets others compute meanwhile.
    pub fn send(&mut self, piece: Piece) -> Result<(), Halt> {
        self.turn.end();
        self.pieces.send(piece).map_err(|_| Halt::Stopped)?;
        self.turn.begin()
    }
}
