//! Datasets: the tables that can be exported, and the check of payloads against them.

mod check_payload;
mod error;
mod get;
mod list;

pub use check_payload::PayloadCheck;
