//! The table of sample calls: one valid request of every RPC, and who may call it.
//!
//! A request is the JSON of its message. `"{parent}"`, `"{connection}"`, `"{free}"`, `"{target}"`, `"{export}"`,
//! `"{run}"` and `"{ended_run}"` stand for the fields of [`Names`](super::Names). `request_id`, `validate_only` and a credential are left out:
//! [`Sample::call`] sets them in every request that has such a field.

use super::Sample;
use super::access::{ADMINS, ANYBODY, Access, CATALOG, CONTRIBUTORS, USERS, VIEWERS};

/// Lists every RPC with its access and its request.
pub const SAMPLES: &[Sample] = &[
    sample("outflow.v1.ConnectionService/ListConnectionTypes", CATALOG, "{}"),
    sample("outflow.v1.ConnectionService/GetConnectionType", CATALOG, r#"{"name": "connectionTypes/sftp"}"#),
    sample(
        "outflow.v1.ConnectionService/CreateConnection",
        ADMINS,
        r#"{
            "parent": "{parent}",
            "connection": {
                "display_name": "New",
                "connection_type": "connectionTypes/sftp",
                "properties": {
                    "host": "sftp.partner.example", "port": 22, "username": "outflow", "directory": "in",
                    "host_key": "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                }
            }
        }"#,
    ),
    sample("outflow.v1.ConnectionService/GetConnection", ADMINS, r#"{"name": "{connection}"}"#),
    sample("outflow.v1.ConnectionService/ListConnections", ADMINS, r#"{"parent": "{parent}"}"#),
    sample(
        "outflow.v1.ConnectionService/UpdateConnection",
        ADMINS,
        r#"{
            "connection": {
                "name": "{connection}",
                "display_name": "Changed",
                "connection_type": "connectionTypes/sftp",
                "properties": {
                    "host": "changed.example", "port": 22, "username": "outflow", "directory": "in",
                    "host_key": "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                }
            },
            "update_mask": "displayName,properties"
        }"#,
    ),
    sample("outflow.v1.ConnectionService/DeleteConnection", ADMINS, r#"{"name": "{free}"}"#),
    sample("outflow.v1.ConnectionService/StreamBlockingExports", ADMINS, r#"{"name": "{connection}"}"#),
    sample("outflow.v1.ConnectionService/SearchUsableConnections", CONTRIBUTORS, r#"{"parent": "{parent}"}"#),
    sample(
        "outflow.v1.ConnectionService/ShareConnection",
        ADMINS,
        r#"{"name": "{connection}", "members": ["user:zed"]}"#,
    ),
    sample(
        "outflow.v1.ConnectionService/UnshareConnection",
        ADMINS,
        r#"{"name": "{connection}", "members": ["user:bea"]}"#,
    ),
    sample(
        "outflow.v1.ConnectionService/TestConnection",
        ADMINS,
        r#"{
            "parent": "{parent}",
            "connection": {
                "name": "{connection}",
                "connection_type": "connectionTypes/sftp",
                "properties": {
                    "host": "127.0.0.1", "port": 1, "username": "outflow", "directory": "in",
                    "host_key": "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                }
            }
        }"#,
    ),
    sample("outflow.v1.ConnectionService/RotateConnectionCredential", ADMINS, r#"{"name": "{connection}"}"#),
    sample("outflow.v1.ConnectionService/RevokeConnectionCredential", ADMINS, r#"{"name": "{connection}"}"#),
    sample(
        "outflow.v1.ConnectionService/SuspendConnection",
        ADMINS,
        r#"{"name": "{connection}", "reason": "maintenance"}"#,
    ),
    sample("outflow.v1.ConnectionService/ResumeConnection", ADMINS, r#"{"name": "{connection}"}"#),
    sample("outflow.v1.ExportService/ListDatasets", VIEWERS, r#"{"parent": "{parent}"}"#),
    sample("outflow.v1.ExportService/GetDataset", VIEWERS, r#"{"name": "{parent}/datasets/customers"}"#),
    sample(
        "outflow.v1.ExportService/CreateExport",
        USERS,
        r#"{
            "parent": "{parent}",
            "export": {
                "display_name": "New",
                "connection": "{connection}",
                "payload": {"tables": [{"table": "customers", "fields": [{"field": "email"}]}]},
                "destination_settings": {"folder": "weekly", "file_format": "csv"}
            }
        }"#,
    ),
    sample("outflow.v1.ExportService/GetExport", VIEWERS, r#"{"name": "{export}"}"#),
    sample(
        "outflow.v1.ExportService/ListExports",
        VIEWERS,
        r#"{"parent": "{parent}", "connection": "{connection}", "detached_from": "{free}"}"#,
    ),
    sample(
        "outflow.v1.ExportService/UpdateExport",
        USERS,
        r#"{"export": {"name": "{export}", "connection": "{connection}", "description": "changed"}}"#,
    ),
    sample("outflow.v1.ExportService/DeleteExport", USERS, r#"{"name": "{export}"}"#),
    sample("outflow.v1.ExportService/BatchDeleteExports", USERS, r#"{"parent": "{parent}", "names": ["{export}"]}"#),
    sample("outflow.v1.ExportService/DuplicateExport", USERS, r#"{"name": "{export}"}"#),
    sample("outflow.v1.ExportService/AttachExport", USERS, r#"{"name": "{export}", "connection": "{target}"}"#),
    sample(
        "outflow.v1.ExportService/BatchAttachExports",
        USERS,
        r#"{"parent": "{parent}", "names": ["{export}"], "connection": "{target}"}"#,
    ),
    sample("outflow.v1.ExportService/DetachExport", ADMINS, r#"{"name": "{export}"}"#),
    sample("outflow.v1.ExportService/BatchDetachExports", ADMINS, r#"{"parent": "{parent}", "names": ["{export}"]}"#),
    sample(
        "outflow.v1.ExportService/BatchUpdateExportSchedules",
        USERS,
        r#"{"parent": "{parent}", "names": ["{export}"], "enabled": false}"#,
    ),
    sample(
        "outflow.v1.ExportService/PreviewSchedule",
        VIEWERS,
        r#"{
            "parent": "{parent}",
            "schedule": {"enabled": true, "cron": {"expression": "0 6 * * MON", "time_zone": "Europe/Berlin"}},
            "count": 3
        }"#,
    ),
    sample("outflow.v1.ExportService/PreviewExport", USERS, r#"{"parent": "{parent}", "name": "{export}", "rows": 2}"#),
    sample("outflow.v1.ExportService/RunExport", USERS, r#"{"name": "{export}"}"#),
    sample("outflow.v1.ExportService/BatchRunExports", USERS, r#"{"parent": "{parent}", "names": ["{export}"]}"#),
    sample("outflow.v1.ExportService/GetExportRun", VIEWERS, r#"{"name": "{run}"}"#),
    sample("outflow.v1.ExportService/ListExportRuns", VIEWERS, r#"{"parent": "{export}"}"#),
    sample("outflow.v1.ExportService/CancelExportRun", USERS, r#"{"name": "{run}"}"#),
    sample("outflow.v1.ExportService/WatchExportRun", VIEWERS, r#"{"name": "{ended_run}"}"#),
    sample("outflow.v1.AuditService/ListAuditEvents", ADMINS, r#"{"parent": "{parent}", "resource": "{export}"}"#),
    sample("outflow.v1.IdentityService/GetCaller", ANYBODY, "{}"),
];

const fn sample(method: &'static str, access: Access, request: &'static str) -> Sample {
    Sample { method, access, request }
}
