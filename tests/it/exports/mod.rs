//! Tests of ExportService, one file per RPC or group of RPCs.

mod attach;
mod create;
mod datasets;
mod delete;
mod detach;
mod duplicate;
mod file_names;
mod largest_batch;
mod list;
mod owner;
mod payload_settings;
mod schedules;
mod update;
