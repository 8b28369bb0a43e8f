//! ExportService, a file for each group of RPCs.

mod attach;
mod create;
mod delete;
mod detach;
mod duplicate;
mod list;
mod schedules;
mod thousand;
mod update;
