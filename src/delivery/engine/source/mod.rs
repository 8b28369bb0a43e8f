//! Reads tables in units of a few ten thousand rows, which different threads read and encode at the same time.

mod block;
mod file;
mod parquet;
mod sequential;
mod text_values;
mod units;

pub use block::RowBlock;
pub use units::{ReadLimits, Unit, Units};
