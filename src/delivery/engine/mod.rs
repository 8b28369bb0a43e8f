//! The engine: reads tables in parallel, filters and transforms rows, and encodes them.
//!
//! A [`Job`] is planned from pinned tables and settings, and [`Engine::start`] streams its output. A table is divided into
//! units of a few ten thousand rows (`source`). Workers read units at the same time and encode their rows (`worker`);
//! an assembler puts the encoded pieces into files in order (`assembler`). The output does not depend on the number of
//! threads.

mod assembler;
mod budget;
mod column;
mod compression;
mod csv;
mod dictionary;
mod executor;
mod filter;
mod group_sink;
mod halt;
mod job;
mod json;
mod outputs;
mod piece;
mod position;
mod rows;
mod settings;
mod source;
mod text;
mod text_sink;
mod transform;
mod types;
mod worker;

pub use budget::Workers;
pub use executor::Engine;
pub use job::{Job, PreviewLimit};
pub use outputs::Progress;
pub use settings::{Compression, CsvSettings, EncodingSettings, InvalidSetting, ParquetCompression, RowFormat};

#[cfg(test)]
mod tests;
