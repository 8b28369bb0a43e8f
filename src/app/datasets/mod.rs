//! Datasets: the tables that can be exported, and the check of payloads against them.

mod check_payload;
mod get;
mod list;
mod unavailable;

pub use check_payload::PayloadCheck;
