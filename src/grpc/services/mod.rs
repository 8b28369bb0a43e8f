//! The services. A handler accepts its request, calls one operation of the application, and converts the response.

mod audit;
mod connections;
mod exports;

pub use audit::AuditApi;
pub use connections::ConnectionApi;
pub use exports::ExportApi;
