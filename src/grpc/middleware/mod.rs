//! Middleware, one concern per file. A call passes drain, access log, authentication and admission, in this order,
//! before its message is decoded. What a middleware does not know it denies.

mod access_log;
mod admission;
mod authenticate;
mod drain;
mod layer;

pub use access_log::{AccessLog, CallInfo};
pub use admission::{Admission, Admitted, MAX_UNARY_CALLS};
pub use authenticate::Authenticate;
pub use drain::Drain;
pub use layer::{Middleware, MiddlewareLayer};
