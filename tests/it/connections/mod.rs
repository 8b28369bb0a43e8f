//! ConnectionService, a file for each RPC.

mod delete;
