//! Destinations: where the output of a run is written.
//!
//! Only [`Writer::commit`] makes anything visible under its final name. The same run carried out again leaves one result.

mod factory;
mod interface;
pub mod local_directory;
pub mod object_store;
pub mod postgresql;
mod progress;
pub mod sftp;
mod staged;
pub mod webhook;

pub use crate::model::{Check, CheckOutcome, CheckStep};
pub use factory::Destinations;
pub use interface::{Delivery, Destination, Opened, StateLog, Target, Writer};
