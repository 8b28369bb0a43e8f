//! Datasets: finds the tables of an organization in the sources that the operator configured, and opens them.

mod object_file;
mod pinned;
mod source_file;

pub use pinned::{MAX_BATCH_ROWS, PinnedTable, RowSource, TableContent};
pub use source_file::{SourceFile, SourceReader};
