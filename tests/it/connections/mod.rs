//! Tests of ConnectionService, one file per RPC or group of RPCs.

mod affected_exports;
mod connection_types;
mod create;
mod credential;
mod delete;
mod formats;
mod list;
mod retarget;
mod share;
mod stream;
mod suspend;
mod test;
mod update;
