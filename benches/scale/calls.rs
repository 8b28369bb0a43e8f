//! The calls that are compared, and their requests.

/// Who makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Admin,
    Contributor,
}

/// A call. Its request is JSON with placeholders: `{connection}` and `{export}` stand for one that was there before, `{run}` for
/// a run, and `{new}` and `{copy}` for ids of what calls of a round create.
pub struct Call {
    pub method: &'static str,
    pub caller: Caller,
    pub request: &'static str,
}

impl Call {
    /// The method and the caller.
    pub fn name(&self) -> String {
        let by = if self.caller == Caller::Contributor { ", contributor" } else { "" };
        format!("{}{by}", self.method)
    }
}

/// The calls in the order in which a round makes them: each changes or deletes what the ones before it created.
pub const CALLS: &[Call] = &[
    admin("IdentityService/GetCaller", "{}"),
    admin("ConnectionService/ListConnectionTypes", "{}"),
    admin("ConnectionService/GetConnectionType", r#"{"name": "connectionTypes/sftp"}"#),
    admin("ConnectionService/ListConnections", r#"{"parent": "organizations/acme"}"#),
    contributor("ConnectionService/SearchUsableConnections", r#"{"parent": "organizations/acme"}"#),
    admin("ConnectionService/GetConnection", r#"{"name": "{connection}"}"#),
    admin(
        "ConnectionService/CreateConnection",
        r#"{
            "parent": "organizations/acme", "connection_id": "{new}",
            "connection": {
                "display_name": "New", "connection_type": "connectionTypes/sftp",
                "properties": {
                    "host": "sftp.partner.example", "port": 22, "username": "outflow", "directory": "in",
                    "host_key": "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                }
            },
            "credential": {"auth_method": "password", "inline": {"values": {"password": "correct horse"}}}
        }"#,
    ),
    admin(
        "ConnectionService/UpdateConnection",
        r#"{"connection": {"name": "{connection}", "description": "{new}"}, "update_mask": "description"}"#,
    ),
    admin("ConnectionService/ShareConnection", r#"{"name": "{connection}", "members": ["user:bea"]}"#),
    admin("ConnectionService/UnshareConnection", r#"{"name": "{connection}", "members": ["user:bea"]}"#),
    admin("ConnectionService/SuspendConnection", r#"{"name": "{connection}", "reason": "maintenance"}"#),
    admin("ConnectionService/ResumeConnection", r#"{"name": "{connection}"}"#),
    admin(
        "ConnectionService/RotateConnectionCredential",
        r#"{
            "name": "organizations/acme/connections/{new}",
            "credential": {"auth_method": "password", "inline": {"values": {"password": "battery horse"}}}
        }"#,
    ),
    admin("ConnectionService/RevokeConnectionCredential", r#"{"name": "organizations/acme/connections/{new}"}"#),
    admin("ConnectionService/DeleteConnection", r#"{"name": "organizations/acme/connections/{new}"}"#),
    admin("ExportService/ListExports", r#"{"parent": "organizations/acme"}"#),
    contributor("ExportService/ListExports", r#"{"parent": "organizations/acme"}"#),
    admin("ExportService/GetExport", r#"{"name": "{export}"}"#),
    contributor("ExportService/GetExport", r#"{"name": "{export}"}"#),
    contributor(
        "ExportService/CreateExport",
        r#"{
            "parent": "organizations/acme", "export_id": "{new}",
            "export": {
                "display_name": "New", "connection": "{connection}",
                "payload": {"tables": [{"table": "customers", "fields": [{"field": "email"}]}]},
                "schedule": {"enabled": true, "cron": {"expression": "0 6 * * MON", "time_zone": "Europe/Berlin"}},
                "destination_settings": {"folder": "weekly"}
            }
        }"#,
    ),
    contributor(
        "ExportService/UpdateExport",
        r#"{
            "export": {"name": "organizations/acme/exports/{new}", "display_name": "Changed"},
            "update_mask": "displayName"
        }"#,
    ),
    contributor(
        "ExportService/DuplicateExport",
        r#"{"name": "organizations/acme/exports/{new}", "export_id": "{copy}"}"#,
    ),
    contributor(
        "ExportService/BatchUpdateExportSchedules",
        r#"{"parent": "organizations/acme", "names": ["organizations/acme/exports/{new}"], "enabled": false}"#,
    ),
    contributor("ExportService/RunExport", r#"{"name": "organizations/acme/exports/{new}"}"#),
    contributor(
        "ExportService/BatchRunExports",
        r#"{"parent": "organizations/acme", "names": ["organizations/acme/exports/{copy}"]}"#,
    ),
    contributor("ExportService/GetExportRun", r#"{"name": "{run}"}"#),
    contributor("ExportService/ListExportRuns", r#"{"parent": "organizations/acme/exports/-"}"#),
    admin("ExportService/DetachExport", r#"{"name": "organizations/acme/exports/{new}"}"#),
    admin(
        "ExportService/BatchDetachExports",
        r#"{"parent": "organizations/acme", "names": ["organizations/acme/exports/{copy}"]}"#,
    ),
    contributor(
        "ExportService/AttachExport",
        r#"{"name": "organizations/acme/exports/{new}", "connection": "{connection}"}"#,
    ),
    contributor(
        "ExportService/BatchAttachExports",
        r#"{
            "parent": "organizations/acme", "names": ["organizations/acme/exports/{copy}"],
            "connection": "{connection}"
        }"#,
    ),
    contributor("ExportService/DeleteExport", r#"{"name": "organizations/acme/exports/{new}"}"#),
    contributor(
        "ExportService/BatchDeleteExports",
        r#"{"parent": "organizations/acme", "names": ["organizations/acme/exports/{copy}"]}"#,
    ),
    contributor(
        "ExportService/PreviewSchedule",
        r#"{
            "parent": "organizations/acme", "count": 10,
            "schedule": {"enabled": true, "cron": {"expression": "0 6 * * MON", "time_zone": "Europe/Berlin"}}
        }"#,
    ),
    admin("AuditService/ListAuditEvents", r#"{"parent": "organizations/acme"}"#),
];

const fn admin(method: &'static str, request: &'static str) -> Call {
    Call { method, caller: Caller::Admin, request }
}

const fn contributor(method: &'static str, request: &'static str) -> Call {
    Call { method, caller: Caller::Contributor, request }
}
