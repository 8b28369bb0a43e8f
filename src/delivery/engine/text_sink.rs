//! Encodes the rows of a unit as text, divides it into files, and compresses it.

use std::ops::Range;

use super::column::TextColumn;
use super::compression::Compressor;
use super::csv::CsvEncoder;
use super::halt::Halt;
use super::job::{Job, TablePlan};
use super::json::{self, JsonEncoder};
use super::piece::{Piece, PieceSender};
use super::position::{FileLimits, HandOver, Position};
use super::rows::Rows;
use super::settings::{Compression, CsvSettings};
use super::text::Unencodable;
use crate::delivery::DeliveryError;

/// Bytes of a chunk, about: it ends with the row that reaches them.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes of a unit that wait for its position, at most. More are encoded when it is known.
const MAX_WAITING_BYTES: usize = 4 * CHUNK_BYTES;

/// How the text of a table is made.
pub struct TextFormat {
    encoder: RowEncoder,
    compression: Compression,
    /// What each file starts with, before compression.
    pub file_start: Vec<u8>,
    /// The limits of a file.
    pub limits: FileLimits,
    chunk_bytes: usize,
}

enum RowEncoder {
    Csv(CsvEncoder),
    JsonLines(JsonEncoder),
}

impl TextFormat {
    /// CSV or, without its settings, JSON Lines.
    pub fn new(job: &Job, plan: &TablePlan, csv: Option<&CsvSettings>) -> Self {
        let names = plan.names();
        let (encoder, file_start) = if let Some(settings) = csv {
            let encoder = CsvEncoder::new(settings.clone());
            let start = encoder.file_start(&names);
            (RowEncoder::Csv(encoder), start)
        } else {
            (RowEncoder::JsonLines(JsonEncoder::new(&names, job.shows_parquet())), Vec::new())
        };
        let limits = FileLimits {
            rows: job.encoding.max_rows_per_file,
            bytes: job.encoding.max_bytes_per_file,
            start_bytes: file_start.len() as u64,
        };
        // In a preview each row is a chunk, so that the limits hold exactly.
        let chunk_bytes = if job.limit.is_some() { 1 } else { CHUNK_BYTES };
        Self { encoder, compression: job.encoding.compression, file_start, limits, chunk_bytes }
    }

    /// A compressor for a thread.
    pub fn compressor(&self) -> Result<Compressor, DeliveryError> {
        Compressor::new(self.compression)
    }

    /// Whether an empty file has bytes: a compressed file is never empty.
    pub fn is_compressed(&self) -> bool {
        self.compression != Compression::None
    }

    fn columns(&self, rows: &Rows) -> Result<Vec<TextColumn>, DeliveryError> {
        let are_plain = |texts: &[u8]| match &self.encoder {
            RowEncoder::Csv(encoder) => encoder.are_plain(texts),
            RowEncoder::JsonLines(_) => json::are_plain(texts),
        };
        rows.columns.iter().map(|array| TextColumn::new(array, are_plain)).collect()
    }

    fn row(&self, columns: &[TextColumn], row: usize, out: &mut Vec<u8>) -> Result<(), (usize, Unencodable)> {
        match &self.encoder {
            RowEncoder::Csv(encoder) => encoder.row(columns, row, out),
            RowEncoder::JsonLines(encoder) => encoder.row(columns, row, out),
        }
    }
}

/// Encodes the rows of a unit.
pub struct TextSink<'a> {
    plan: &'a TablePlan,
    format: &'a TextFormat,
    compressor: &'a mut Compressor,
    text: Text,
    waiting: Vec<Text>,
    waiting_bytes: usize,
    hand_over: HandOver,
}

/// Encoded rows.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    rows: u64,
    /// The end of each row, if files have limits.
    ends: Vec<usize>,
}

/// Rows of a text that belong to one file.
struct Segment {
    starts_file: bool,
    bytes: Range<usize>,
    rows: u64,
}

impl<'a> TextSink<'a> {
    /// A sink for a unit.
    pub fn new(
        plan: &'a TablePlan,
        format: &'a TextFormat,
        compressor: &'a mut Compressor,
        hand_over: HandOver,
    ) -> Self {
        Self { plan, format, compressor, text: Text::default(), waiting: Vec::new(), waiting_bytes: 0, hand_over }
    }

    /// Encodes rows.
    pub fn push(&mut self, rows: &Rows, sender: &mut PieceSender<'_>) -> Result<(), Halt> {
        let columns = self.format.columns(rows)?;
        let has_limits = self.format.limits.exist();
        for row in 0..rows.count {
            if self.text.bytes.capacity() == 0 {
                self.text.bytes.reserve(self.format.chunk_bytes + self.format.chunk_bytes / 8);
            }
            self.format
                .row(&columns, row, &mut self.text.bytes)
                .map_err(|(column, cause)| self.plan.unencodable(&self.plan.columns[column].name, cause.0))?;
            self.text.rows += 1;
            if has_limits {
                self.text.ends.push(self.text.bytes.len());
            }
            if self.text.bytes.len() >= self.format.chunk_bytes {
                self.flush(sender)?;
            }
        }
        Ok(())
    }

    /// Sends what remains.
    pub fn finish(mut self, sender: &mut PieceSender<'_>) -> Result<(), Halt> {
        if self.text.rows > 0 {
            self.flush(sender)?;
        }
        if self.format.limits.exist() {
            let cut = self.cut(sender)?;
            self.hand_over.pass();
            self.send_cut(cut, sender)?;
        }
        Ok(())
    }

    fn flush(&mut self, sender: &mut PieceSender<'_>) -> Result<(), Halt> {
        let text = std::mem::take(&mut self.text);
        if !self.format.limits.exist() {
            return self.send(text.bytes, text.rows, sender);
        }
        self.waiting_bytes += text.bytes.len();
        self.waiting.push(text);
        if self.waiting_bytes >= MAX_WAITING_BYTES {
            let cut = self.cut(sender)?;
            self.send_cut(cut, sender)?;
        }
        Ok(())
    }

    /// Divides what waits into files.
    fn cut(&mut self, sender: &mut PieceSender<'_>) -> Result<Vec<(Text, Vec<Segment>)>, Halt> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let position = self.hand_over.wait(&mut sender.turn)?;
        let limits = &self.format.limits;
        let cut = waiting.into_iter().map(|text| {
            let segments = segments(position, limits, &text.ends);
            (text, segments)
        });
        Ok(cut.collect())
    }

    fn send_cut(&mut self, cut: Vec<(Text, Vec<Segment>)>, sender: &mut PieceSender<'_>) -> Result<(), Halt> {
        for (text, segments) in cut {
            let is_whole = segments.len() == 1;
            let mut bytes = text.bytes;
            for segment in segments {
                if segment.starts_file {
                    sender.send(Piece::NextFile)?;
                }
                let part = if is_whole { std::mem::take(&mut bytes) } else { bytes[segment.bytes].to_vec() };
                self.send(part, segment.rows, sender)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, text: Vec<u8>, rows: u64, sender: &mut PieceSender<'_>) -> Result<(), Halt> {
        let bytes = self.compressor.compress(text)?;
        sender.send(Piece::Data { bytes, rows })
    }
}

/// Divides rows, given by their ends, into segments of one file each.
fn segments(position: &mut Position, limits: &FileLimits, ends: &[usize]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut start = 0;
    for end in ends {
        let starts_file = position.add_row((end - start) as u64, limits);
        match segments.last_mut().filter(|_| !starts_file) {
            Some(segment) => {
                segment.bytes.end = *end;
                segment.rows += 1;
            }
            None => segments.push(Segment { starts_file, bytes: start..*end, rows: 1 }),
        }
        start = *end;
    }
    segments
}
