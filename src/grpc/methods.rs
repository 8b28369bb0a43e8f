//! The one table of methods: which role each needs, and whether it streams. What is not in it is denied.

use crate::model::Role;

/// What is known about a method before its message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// `package.Service/Method`
    pub name: &'static str,
    /// Who may call it; the right on the resource is the application's to check.
    pub role: Role,
    /// Whether it answers with a stream, which has no cap on its time.
    pub streams: bool,
}

const fn unary(name: &'static str, role: Role) -> Method {
    Method { name, role, streams: false }
}

/// Every method of every service.
pub const METHODS: [Method; 29] = [
    unary("outflow.v1.ConnectionService/ListConnectionTypes", Role::Viewer),
    unary("outflow.v1.ConnectionService/GetConnectionType", Role::Viewer),
    unary("outflow.v1.ConnectionService/CreateConnection", Role::Admin),
    unary("outflow.v1.ConnectionService/GetConnection", Role::Admin),
    unary("outflow.v1.ConnectionService/ListConnections", Role::Admin),
    unary("outflow.v1.ConnectionService/UpdateConnection", Role::Admin),
    unary("outflow.v1.ConnectionService/DeleteConnection", Role::Admin),
    Method { name: "outflow.v1.ConnectionService/StreamBlockingExports", role: Role::Admin, streams: true },
    unary("outflow.v1.ConnectionService/SearchUsableConnections", Role::Contributor),
    unary("outflow.v1.ConnectionService/ShareConnection", Role::Admin),
    unary("outflow.v1.ConnectionService/UnshareConnection", Role::Admin),
    unary("outflow.v1.ConnectionService/RotateConnectionCredential", Role::Admin),
    unary("outflow.v1.ConnectionService/RevokeConnectionCredential", Role::Admin),
    unary("outflow.v1.ConnectionService/SuspendConnection", Role::Admin),
    unary("outflow.v1.ConnectionService/ResumeConnection", Role::Admin),
    unary("outflow.v1.ExportService/CreateExport", Role::Contributor),
    unary("outflow.v1.ExportService/GetExport", Role::Viewer),
    unary("outflow.v1.ExportService/ListExports", Role::Viewer),
    unary("outflow.v1.ExportService/UpdateExport", Role::Contributor),
    unary("outflow.v1.ExportService/DeleteExport", Role::Contributor),
    unary("outflow.v1.ExportService/BatchDeleteExports", Role::Contributor),
    unary("outflow.v1.ExportService/DuplicateExport", Role::Contributor),
    unary("outflow.v1.ExportService/AttachExport", Role::Contributor),
    unary("outflow.v1.ExportService/BatchAttachExports", Role::Contributor),
    unary("outflow.v1.ExportService/DetachExport", Role::Admin),
    unary("outflow.v1.ExportService/BatchDetachExports", Role::Admin),
    unary("outflow.v1.ExportService/BatchUpdateExportSchedules", Role::Contributor),
    unary("outflow.v1.ExportService/PreviewSchedule", Role::Viewer),
    unary("outflow.v1.AuditService/ListAuditEvents", Role::Admin),
];

/// The method of a path, `/package.Service/Method`.
pub fn find(path: &str) -> Option<&'static Method> {
    let name = path.strip_prefix('/')?;
    METHODS.iter().find(|method| method.name == name)
}
