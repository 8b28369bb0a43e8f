//! Tests of the engine as a whole: pinned tables in, files out.

mod errors;
mod filters;
mod golden;
mod memory;
mod parallel;
mod parquet_files;
mod preview;
mod sources;
mod splits;
mod support;
