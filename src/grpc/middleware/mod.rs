//! Middleware, one concern per file. A call passes drain, access log, authentication and admission, in this order,
//! before its message is decoded. An unknown method requires a token too, and is UNIMPLEMENTED.

mod access_log;
mod admission;
mod authenticate;
mod connection;
mod drain;
mod receive;
mod rejections;
mod respond;

pub use access_log::{CallInfo, access_log};
pub use admission::{Admission, AuthorizedCall, CallLimits, MAX_HEALTH_BYTES, authorize, health_check};
pub use authenticate::{Authenticator, authenticate};
pub use connection::{ConnectionCalls, count_call};
pub use drain::drain;
pub use receive::discard_on_drop;
pub use rejections::RejectionLog;
