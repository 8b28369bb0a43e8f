//! The services. A handler accepts its request, calls one operation of the application, and converts the response.

mod audit;
mod connections;
mod exports;
mod identity;

pub use audit::AuditApi;
pub use connections::ConnectionApi;
pub use exports::ExportApi;
pub use identity::IdentityApi;
