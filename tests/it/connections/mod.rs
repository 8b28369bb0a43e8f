//! ConnectionService, a file for each group of RPCs.

mod create;
mod credential;
mod delete;
mod list;
mod share;
mod stream;
mod suspend;
mod types;
mod update;
