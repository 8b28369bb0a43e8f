//! Middleware, one concern per file. A call passes drain, access log, authentication and admission, in this order,
//! before its message is decoded. An unknown method requires a token too, and is UNIMPLEMENTED.

mod access_log;
mod admission;
mod authenticate;
mod drain;

pub use access_log::{CallInfo, access_log};
pub use admission::{Admission, AuthorizedCall, MAX_UNARY_CALLS, authorize};
pub use authenticate::{Authenticator, authenticate};
pub use drain::drain;
