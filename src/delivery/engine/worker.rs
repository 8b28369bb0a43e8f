//! Workers: each takes the next unit of a table, reads it, and sends its encoded rows to the assembler in order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;

use super::budget::Turn;
use super::compression::Compressor;
use super::group_sink::{GroupFormat, GroupSink};
use super::halt::Halt;
use super::job::TablePlan;
use super::outputs::Outputs;
use super::piece::{Piece, PieceSender};
use super::position::{HandOver, Position};
use super::rows::Rows;
use super::source::{Unit, Units};
use super::text_sink::{TextFormat, TextSink};

/// Pieces of a unit that wait for the assembler, at most.
const MAX_WAITING_PIECES: usize = 4;
/// The same for row groups, which are larger.
const MAX_WAITING_GROUPS: usize = 1;

/// A table, as the workers need it.
pub struct Table {
    /// How it is read and transformed.
    pub plan: Arc<TablePlan>,
    /// How it is encoded.
    pub format: Format,
}

/// How a table is encoded.
#[expect(clippy::large_enum_variant, reason = "there is one per table")]
pub enum Format {
    /// As CSV or JSON Lines.
    Text(TextFormat),
    /// As Parquet.
    Parquet(GroupFormat),
}

/// Gives the units of a table to workers, and their output to the assembler, both in order.
pub struct Dispatcher {
    state: Mutex<State>,
    max_waiting: usize,
}

struct State {
    units: Units,
    /// Takes the output of each unit; `None` after the last unit.
    queue: Option<SyncSender<Receiver<Piece>>>,
    position: Receiver<Position>,
}

/// A unit, and where its output goes.
struct Task {
    /// `None` comes once, after the last unit: what remains of the table is to be sent.
    unit: Option<Unit>,
    pieces: SyncSender<Piece>,
    hand_over: HandOver,
}

impl Dispatcher {
    /// A dispatcher of units, and a queue of their outputs, which holds as many units as there are workers.
    pub fn new(units: Units, format: &Format, workers: usize) -> (Self, Receiver<Receiver<Piece>>) {
        let (queue, outputs) = sync_channel(workers);
        let state = State { units, queue: Some(queue), position: HandOver::first() };
        let max_waiting = match format {
            Format::Text(_) => MAX_WAITING_PIECES,
            Format::Parquet(_) => MAX_WAITING_GROUPS,
        };
        (Self { state: Mutex::new(state), max_waiting }, outputs)
    }

    /// Ends the queue, so that the assembler does not wait for more.
    fn close(&self) {
        self.state.lock().queue = None;
    }

    /// The next task. Waits while the queue is full.
    fn next_task(&self, turn: &mut Turn<'_>, outputs: &Outputs) -> Result<Option<Task>, Halt> {
        let mut state = self.state.lock();
        let Some(queue) = state.queue.take() else { return Ok(None) };
        if state.units.computes() {
            turn.begin()?;
        }
        let unit = state.units.next_unit(outputs);
        turn.end();
        let (pieces, output) = sync_channel(self.max_waiting);
        queue.send(output).map_err(|_| Halt::Stopped)?;
        let unit = match unit {
            Ok(unit) => unit,
            Err(Halt::Stopped) => return Err(Halt::Stopped),
            Err(Halt::Failed(error)) => {
                pieces.send(Piece::Failed(error)).map_err(|_| Halt::Stopped)?;
                return Ok(None);
            }
        };
        if unit.is_some() {
            state.queue = Some(queue);
        }
        let (_, unused) = sync_channel(0);
        let (hand_over, following) = HandOver::new(std::mem::replace(&mut state.position, unused));
        state.position = following;
        Ok(Some(Task { unit, pieces, hand_over }))
    }
}

/// Works on units of a table until there are no more, or the job ends. The assembler gets errors as pieces.
pub fn run(table: &Table, dispatcher: &Dispatcher, outputs: &Outputs, turn: Turn<'_>) {
    if work(table, dispatcher, outputs, turn).is_err() {
        dispatcher.close();
    }
}

fn work(table: &Table, dispatcher: &Dispatcher, outputs: &Outputs, mut turn: Turn<'_>) -> Result<(), Halt> {
    let mut compressor = match &table.format {
        Format::Text(format) => format.compressor()?,
        Format::Parquet(_) => Compressor::None,
    };
    while let Some(task) = dispatcher.next_task(&mut turn, outputs)? {
        let is_last = task.unit.is_none();
        let mut sender = PieceSender { turn, pieces: task.pieces };
        sender.turn.begin()?;
        let result = encode(table, task.unit, task.hand_over, &mut compressor, outputs, &mut sender);
        sender.turn.end();
        let last = match result {
            Ok(()) => Piece::End { is_last },
            Err(Halt::Failed(error)) => Piece::Failed(error),
            Err(Halt::Stopped) => return Err(Halt::Stopped),
        };
        sender.pieces.send(last).map_err(|_| Halt::Stopped)?;
        turn = sender.turn;
    }
    Ok(())
}

/// Reads, transforms and encodes a unit.
fn encode(
    table: &Table,
    unit: Option<Unit>,
    hand_over: HandOver,
    compressor: &mut Compressor,
    outputs: &Outputs,
    sender: &mut PieceSender<'_>,
) -> Result<(), Halt> {
    let is_last = unit.is_none();
    match &table.format {
        Format::Text(format) => {
            let mut sink = TextSink::new(&table.plan, format, compressor, hand_over);
            read(table, unit, outputs, |rows| sink.push(&rows, sender))?;
            sink.finish(sender)
        }
        Format::Parquet(format) => {
            let mut sink = GroupSink::new(format, hand_over);
            read(table, unit, outputs, |rows| sink.push(rows, sender))?;
            sink.finish(is_last, sender)
        }
    }
}

fn read(
    table: &Table,
    unit: Option<Unit>,
    outputs: &Outputs,
    mut push: impl FnMut(Rows) -> Result<(), Halt>,
) -> Result<(), Halt> {
    let Some(unit) = unit else { return Ok(()) };
    let count = unit.rows();
    let mut blocks = unit.open()?;
    while let Some(block) = blocks.next_block()? {
        if outputs.is_stopped() {
            return Err(Halt::Stopped);
        }
        if block.rows > 0 {
            push(Rows::new(&table.plan, &block)?)?;
        }
    }
    outputs.add_rows_read(count);
    Ok(())
}
