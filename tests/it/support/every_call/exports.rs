//! Every RPC of ExportService and AuditService.

use outflow::grpc::proto as pb;

use super::Slot::{Connection, Export, Free, Parent, Target};
use super::{EveryCall, bytes};
use crate::support::{create_export, cron};

pub const CALLS: [EveryCall; 14] = [
    EveryCall {
        method: "outflow.v1.ExportService/CreateExport",
        slots: &[Parent, Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let create = create_export(&names.connection, "New");
                bytes(
                    client
                        .exports
                        .create_export(pb::CreateExportRequest {
                            parent: names.parent,
                            request_id: with.request_id,
                            validate_only: with.validate_only,
                            ..create
                        })
                        .await,
                )
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/GetExport",
        slots: &[Export],
        call: |mut client, names, _| {
            Box::pin(async move { bytes(client.exports.get_export(pb::GetExportRequest { name: names.export }).await) })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/ListExports",
        slots: &[Parent, Connection, Free],
        call: |mut client, names, _| {
            Box::pin(async move {
                let request = pb::ListExportsRequest {
                    parent: names.parent,
                    connection: names.connection,
                    detached_from: names.free,
                    ..Default::default()
                };
                bytes(client.exports.list_exports(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/UpdateExport",
        slots: &[Export, Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let (name, connection) = (names.export, names.connection);
                let changed = pb::Export { name, connection, description: "changed".into(), ..Default::default() };
                let request = pb::UpdateExportRequest {
                    export: Some(changed),
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.exports.update_export(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/DeleteExport",
        slots: &[Export],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::DeleteExportRequest {
                    name: names.export,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.exports.delete_export(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/BatchDeleteExports",
        slots: &[Parent, Export],
        call: |mut client, names, with| {
            Box::pin(async move {
                let (parent, names) = (names.parent, vec![names.export]);
                let request = pb::BatchDeleteExportsRequest {
                    parent,
                    names,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                };
                bytes(client.exports.batch_delete_exports(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/DuplicateExport",
        slots: &[Export],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::DuplicateExportRequest {
                    name: names.export,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.exports.duplicate_export(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/AttachExport",
        slots: &[Export, Target],
        call: |mut client, names, with| {
            Box::pin(async move {
                let (name, connection) = (names.export, names.target);
                bytes(
                    client
                        .exports
                        .attach_export(pb::AttachExportRequest {
                            name,
                            connection,
                            request_id: with.request_id,
                            validate_only: with.validate_only,
                            ..Default::default()
                        })
                        .await,
                )
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/BatchAttachExports",
        slots: &[Parent, Export, Target],
        call: |mut client, names, with| {
            Box::pin(async move {
                let (parent, connection, names) = (names.parent, names.target, vec![names.export]);
                let request = pb::BatchAttachExportsRequest {
                    parent,
                    names,
                    connection,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                };
                bytes(client.exports.batch_attach_exports(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/DetachExport",
        slots: &[Export],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::DetachExportRequest {
                    name: names.export,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.exports.detach_export(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/BatchDetachExports",
        slots: &[Parent, Export],
        call: |mut client, names, with| {
            Box::pin(async move {
                let (parent, names) = (names.parent, vec![names.export]);
                let request = pb::BatchDetachExportsRequest {
                    parent,
                    names,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.exports.batch_detach_exports(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/BatchUpdateExportSchedules",
        slots: &[Parent, Export],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::BatchUpdateExportSchedulesRequest {
                    parent: names.parent,
                    names: vec![names.export],
                    change: Some(pb::batch_update_export_schedules_request::Change::Enabled(false)),
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                };
                bytes(client.exports.batch_update_export_schedules(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ExportService/PreviewSchedule",
        slots: &[Parent],
        call: |mut client, names, _| {
            Box::pin(async move {
                let schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
                let request = pb::PreviewScheduleRequest { parent: names.parent, schedule, count: 3 };
                bytes(client.exports.preview_schedule(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.AuditService/ListAuditEvents",
        slots: &[Parent, Export],
        call: |mut client, names, _| {
            Box::pin(async move {
                let (parent, resource) = (names.parent, names.export);
                let request = pb::ListAuditEventsRequest { parent, resource, ..Default::default() };
                bytes(client.audit.list_audit_events(request).await)
            })
        },
    },
];
