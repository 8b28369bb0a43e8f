//! Requests of mutating RPCs. `build.rs` generates an implementation for every message with `request_id` and `validate_only`.

use super::proto;

/// The request of a mutating RPC.
pub trait MutationRequest: prost::Message {
    /// Takes the `request_id` out of the request; empty if there is none.
    fn take_request_id(&mut self) -> String;
    /// Whether everything is to be checked and nothing changed.
    fn validate_only(&self) -> bool;
}

include!(concat!(env!("OUT_DIR"), "/mutation_requests.rs"));
