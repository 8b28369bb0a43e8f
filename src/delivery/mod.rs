//! Delivery: reads datasets, encodes rows, and writes them to a destination.
//!
//! [`datasets`] finds and opens tables. [`engine`] reads, filters, transforms and encodes them on blocking threads, and
//! sends [`Output`] through a bounded channel; [`layout`] names the files. A [`destinations::Writer`] writes it where nobody sees it until `commit`.

pub mod datasets;
pub mod destinations;
pub mod engine;
mod error;
pub mod layout;
mod output;

pub use error::DeliveryError;
pub use output::{Chunk, FileSummary, Manifest, ManifestField, Output, OutputFile, OutputFormat, Stats};
