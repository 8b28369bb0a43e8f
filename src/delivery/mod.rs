//! Delivery: reads datasets, encodes rows, and writes them to a destination.
//!
//! [`datasets`] finds and opens tables. [`engine`] reads, filters, transforms and encodes them on blocking threads, and
//! sends [`Output`] through a bounded channel; [`layout`] names the files. A [`destinations::Writer`] writes it
//! under names that are not final, and its `commit` makes it visible.

pub mod datasets;
pub mod destinations;
pub mod engine;
mod error;
pub mod export_check;
#[cfg(test)]
mod fuzzed;
pub mod layout;
mod output;

use datasets::Datasets;
use destinations::Destinations;
use engine::Engine;

pub use error::DeliveryError;
pub use output::{Chunk, FileSummary, Manifest, ManifestField, Output, OutputFile, OutputFormat, Stats};

/// What previews, tests of connections and runs use. Cheap to clone.
#[derive(Clone)]
pub struct DeliveryParts {
    /// Finds and opens tables.
    pub datasets: Datasets,
    /// Reads and encodes them.
    pub engine: Engine,
    /// Makes destinations of connections.
    pub destinations: Destinations,
}
