//! What tests stand on: servers on both databases, clients for every kind of caller, things to send.

mod binary;
mod client;
mod database;
mod fixtures;
mod gate;
mod postgres;
mod server;
mod vault;

pub use binary::{Process, outflow};
pub use client::{Client, Clients, ErrorExt};
pub use database::Database;
pub use fixtures::*;
pub use gate::{Gate, say};
pub use postgres::new_database;
pub use server::{Backend, TestServer, on_both};
