//! The gRPC API. Only this module and `server` use tonic and prost.
//!
//! A call passes the [`middleware`], then the interceptor, which makes its context, then a handler of [`services`]. A
//! handler converts the request, calls one operation of the application, and converts the response. An error becomes a
//! status in [`status`] alone.

pub mod client;
mod codec;
mod convert;
mod deadline;
pub mod health;
mod interceptor;
mod message_size;
pub mod methods;
pub mod middleware;
mod mutation_request;
pub mod proto;
pub mod services;
pub mod status;

pub use codec::Codec;
pub use interceptor::caller_context;
