//! What tests stand on: servers on both databases, clients for every kind of caller, things to send.

mod client;
mod fixtures;
mod postgres;
mod server;

pub use client::{Client, Clients, ErrorExt};
pub use fixtures::*;
pub use server::{Backend, TestServer, on_both};
