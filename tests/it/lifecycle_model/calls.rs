//! Makes the calls over gRPC.

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::Event;
use tonic::{Response, Status};

use super::operations::{Expiry, Op};
use super::run_calls;
use super::views::{Organization, ResponseView, comparable_connection, comparable_export};
use crate::support::{Client, create_connection, create_export, password, sftp, with_host};

/// The view of a response with a connection and a count, which `fields` takes out of the message.
fn connection_view<T>(response: Response<T>, fields: impl FnOnce(T) -> (Option<pb::Connection>, i64)) -> ResponseView {
    let (connection, count) = fields(response.into_inner());
    ResponseView::Connection(Box::new(comparable_connection(connection.expect("a connection"))), count)
}

/// The view of a response with an export, which `field` takes out of the message.
fn export_view<T>(response: Response<T>, field: impl FnOnce(T) -> Option<pb::Export>) -> ResponseView {
    ResponseView::Export(Box::new(comparable_export(field(response.into_inner()).expect("an export"))))
}

/// The view of the response of a batch.
fn batch_view(results: Vec<pb::BatchResult>, batch_id: &str, count: i64) -> ResponseView {
    assert!(!batch_id.is_empty(), "a batch has an id");
    ResponseView::Batch(results.into_iter().map(|result| (result.name, result.state)).collect(), count)
}

fn credential(expiry: Option<&Expiry>) -> pb::CredentialInput {
    pb::CredentialInput { expire_time: expiry.map(|expiry| expiry.time), ..password("secret") }
}

/// Makes a call; a change is sent with the request id.
pub async fn call(
    client: &mut Client,
    org: &Organization,
    op: &Op,
    request_id: String,
) -> Result<ResponseView, Status> {
    match op {
        Op::CreateConnection { .. }
        | Op::Describe { .. }
        | Op::MoveEndpoint { .. }
        | Op::DeleteConnection { .. }
        | Op::Share { .. }
        | Op::Unshare { .. } => change_connection(client, org, op, request_id).await,
        Op::Suspend { .. } | Op::Resume { .. } | Op::Rotate { .. } | Op::Revoke { .. } => {
            change_availability(client, org, op, request_id).await
        }
        Op::GetConnection { .. } | Op::SearchUsable | Op::Stream { .. } | Op::ListExports { .. } => {
            read(client, org, op).await
        }
        Op::RunExport { .. }
        | Op::BatchRun { .. }
        | Op::RunScheduled
        | Op::CancelRun { .. }
        | Op::GetRun { .. }
        | Op::ListRuns { .. } => run_calls::call(client, org, op, request_id).await,
        Op::AdvanceClock { .. } => Ok(ResponseView::Nothing),
        Op::BatchDelete { .. }
        | Op::BatchAttach { .. }
        | Op::BatchDetach { .. }
        | Op::DetachSet { .. }
        | Op::SetEnabled { .. } => change_exports(client, org, op, request_id).await,
        _ => change_export(client, org, op, request_id).await,
    }
}

/// Creates, updates, deletes, shares or unshares a connection.
async fn change_connection(
    client: &mut Client,
    org: &Organization,
    op: &Op,
    request_id: String,
) -> Result<ResponseView, Status> {
    let connections = &mut client.connections;
    Ok(match op.clone() {
        Op::CreateConnection { id, all, members, secret, expiry } => {
            let sharing = Some(pb::Sharing { all_contributors: all, members });
            let request = pb::CreateConnectionRequest {
                parent: org.parent(),
                connection: Some(pb::Connection { sharing, ..sftp(&format!("Connection {id}")) }),
                connection_id: id,
                credential: secret.then(|| credential(expiry.as_ref())),
                request_id,
                ..create_connection("")
            };
            connection_view(connections.create_connection(request).await?, |response| (response.connection, 0))
        }
        Op::Describe { id, description, etag } => {
            let connection =
                pb::Connection { name: org.connection(&id), description, etag: etag.text, ..Default::default() };
            let request =
                pb::UpdateConnectionRequest { connection: Some(connection), request_id, ..Default::default() };
            connection_view(connections.update_connection(request).await?, |response| (response.connection, 0))
        }
        Op::MoveEndpoint { id, host, secret } => {
            let moved = pb::Connection { name: org.connection(&id), ..with_host(&sftp(""), &host) };
            let update_mask = Some(prost_types::FieldMask { paths: vec!["properties".to_owned()] });
            let credential = secret.then(|| credential(None));
            let request = pb::UpdateConnectionRequest {
                connection: Some(moved),
                update_mask,
                credential,
                request_id,
                ..Default::default()
            };
            connection_view(connections.update_connection(request).await?, |response| (response.connection, 0))
        }
        Op::DeleteConnection { id, etag } => {
            let name = org.connection(&id);
            let request = pb::DeleteConnectionRequest { name, etag: etag.text, request_id, ..Default::default() };
            connections.delete_connection(request).await?;
            ResponseView::Nothing
        }
        Op::Share { id, all, members } => {
            let (name, all_contributors) = (org.connection(&id), all);
            let request =
                pb::ShareConnectionRequest { name, all_contributors, members, request_id, ..Default::default() };
            connection_view(connections.share_connection(request).await?, |response| (response.connection, 0))
        }
        Op::Unshare { id, all, members } => {
            let (name, all_contributors) = (org.connection(&id), all);
            let request =
                pb::UnshareConnectionRequest { name, all_contributors, members, request_id, ..Default::default() };
            let unshared = connections.unshare_connection(request).await?;
            connection_view(unshared, |response| (response.connection, response.affected_export_count))
        }
        other => panic!("not a change of a connection: {other:?}"),
    })
}

/// Suspends or resumes a connection, or changes its credential.
async fn change_availability(
    client: &mut Client,
    org: &Organization,
    op: &Op,
    request_id: String,
) -> Result<ResponseView, Status> {
    let connections = &mut client.connections;
    Ok(match op.clone() {
        Op::Suspend { id, reason } => {
            let request =
                pb::SuspendConnectionRequest { name: org.connection(&id), reason, request_id, ..Default::default() };
            connection_view(connections.suspend_connection(request).await?, |response| (response.connection, 0))
        }
        Op::Resume { id } => {
            let request = pb::ResumeConnectionRequest { name: org.connection(&id), request_id, ..Default::default() };
            connection_view(connections.resume_connection(request).await?, |response| (response.connection, 0))
        }
        Op::Rotate { id, expiry } => {
            let (name, credential) = (org.connection(&id), Some(credential(expiry.as_ref())));
            let request = pb::RotateConnectionCredentialRequest { name, credential, request_id, ..Default::default() };
            connection_view(connections.rotate_connection_credential(request).await?, |response| {
                (response.connection, 0)
            })
        }
        Op::Revoke { id } => {
            let name = org.connection(&id);
            let request = pb::RevokeConnectionCredentialRequest { name, request_id, ..Default::default() };
            connection_view(connections.revoke_connection_credential(request).await?, |response| {
                (response.connection, 0)
            })
        }
        other => panic!("not a change of availability: {other:?}"),
    })
}

/// Reads connections or exports.
async fn read(client: &mut Client, org: &Organization, op: &Op) -> Result<ResponseView, Status> {
    Ok(match op {
        Op::GetConnection { id } => {
            let request = pb::GetConnectionRequest { name: org.connection(id) };
            connection_view(client.connections.get_connection(request).await?, |response| (response.connection, 0))
        }
        Op::SearchUsable => {
            let request = pb::SearchUsableConnectionsRequest { parent: org.parent(), ..Default::default() };
            let found = client.connections.search_usable_connections(request).await?.into_inner();
            ResponseView::Usable(found.usable_connections)
        }
        Op::ListExports { manage } => {
            let access = if *manage { pb::export::CallerAccess::Manage } else { pb::export::CallerAccess::View };
            let request =
                pb::ListExportsRequest { parent: org.parent(), caller_access: access.into(), ..Default::default() };
            let found = client.exports.list_exports(request).await?.into_inner();
            ResponseView::Exports(found.exports.into_iter().map(comparable_export).collect())
        }
        Op::Stream { id } => {
            let request = pb::StreamBlockingExportsRequest { name: org.connection(id), ..Default::default() };
            let mut stream = client.connections.stream_blocking_exports(request).await?.into_inner();
            let mut listed = Vec::new();
            loop {
                let message = stream.message().await?.expect("a summary before the end");
                match message.event.expect("an event") {
                    Event::Blocking(export) => {
                        listed.push((export.name, export.display_name, export.creator, export.state));
                    }
                    Event::Summary(summary) => return Ok(ResponseView::Stream(listed, summary.blocking_export_count)),
                    other => panic!("{other:?} within the listing"),
                }
            }
        }
        other => panic!("not a read: {other:?}"),
    })
}

/// Changes one export.
async fn change_export(
    client: &mut Client,
    org: &Organization,
    op: &Op,
    request_id: String,
) -> Result<ResponseView, Status> {
    let exports = &mut client.exports;
    Ok(match op.clone() {
        Op::CreateExport { id, connection, enabled, timing } => {
            let mut request = create_export(&org.connection(&connection), &format!("Export {id}"));
            request.export.as_mut().expect("an export").schedule = Some(org.schedule(&timing, enabled));
            let request = pb::CreateExportRequest { parent: org.parent(), export_id: id, request_id, ..request };
            export_view(exports.create_export(request).await?, |response| response.export)
        }
        Op::UpdateExport { id, description, owner, etag } => {
            let (name, owner) = (org.export(&id), owner.unwrap_or_default());
            let changed = pb::Export { name, description, owner, etag: etag.text, ..Default::default() };
            let request = pb::UpdateExportRequest { export: Some(changed), request_id, ..Default::default() };
            export_view(exports.update_export(request).await?, |response| response.export)
        }
        Op::DeleteExport { id, etag } => {
            let name = org.export(&id);
            let request = pb::DeleteExportRequest { name, etag: etag.text, request_id, ..Default::default() };
            exports.delete_export(request).await?;
            ResponseView::Nothing
        }
        Op::Duplicate { id, copy } => {
            let (name, export_id) = (org.export(&id), copy);
            let request = pb::DuplicateExportRequest { name, export_id, request_id, ..Default::default() };
            export_view(exports.duplicate_export(request).await?, |response| response.export)
        }
        Op::Attach { id, connection, etag } => {
            let (name, connection, etag) = (org.export(&id), org.connection(&connection), etag.text);
            let request = pb::AttachExportRequest { name, connection, etag, request_id, ..Default::default() };
            export_view(exports.attach_export(request).await?, |response| response.export)
        }
        Op::Detach { id, reason, etag } => {
            let (name, etag) = (org.export(&id), etag.text);
            let request = pb::DetachExportRequest { name, reason, etag, request_id, ..Default::default() };
            export_view(exports.detach_export(request).await?, |response| response.export)
        }
        other => panic!("not a change of an export: {other:?}"),
    })
}

/// Changes several exports with a batch.
async fn change_exports(
    client: &mut Client,
    org: &Organization,
    op: &Op,
    request_id: String,
) -> Result<ResponseView, Status> {
    let exports = &mut client.exports;
    Ok(match op.clone() {
        Op::BatchDelete { ids } => {
            let (parent, names) = (org.parent(), org.exports(&ids));
            let request = pb::BatchDeleteExportsRequest { parent, names, request_id, ..Default::default() };
            let response = exports.batch_delete_exports(request).await?.into_inner();
            batch_view(response.results, &response.batch_id, 0)
        }
        Op::BatchAttach { ids, connection } => {
            let (parent, names, connection) = (org.parent(), org.exports(&ids), org.connection(&connection));
            let request = pb::BatchAttachExportsRequest { parent, names, connection, request_id, ..Default::default() };
            let response = exports.batch_attach_exports(request).await?.into_inner();
            batch_view(response.results, &response.batch_id, 0)
        }
        Op::BatchDetach { ids, reason } => {
            let (parent, names) = (org.parent(), org.exports(&ids));
            let request = pb::BatchDetachExportsRequest { parent, names, reason, request_id, ..Default::default() };
            let response = exports.batch_detach_exports(request).await?.into_inner();
            batch_view(response.results, &response.batch_id, response.detached_count)
        }
        Op::DetachSet { id, listed } => {
            let set = pb::batch_detach_exports_request::AttachedSet {
                connection: org.connection(&id),
                blocking_set_etag: listed.etag,
            };
            let request = pb::BatchDetachExportsRequest {
                parent: org.parent(),
                attached_set: Some(set),
                request_id,
                ..Default::default()
            };
            let response = exports.batch_detach_exports(request).await?.into_inner();
            batch_view(response.results, &response.batch_id, response.detached_count)
        }
        Op::SetEnabled { ids, enabled } => {
            let request = pb::BatchUpdateExportSchedulesRequest {
                parent: org.parent(),
                names: org.exports(&ids),
                change: Some(pb::batch_update_export_schedules_request::Change::Enabled(enabled)),
                request_id,
                ..Default::default()
            };
            let response = exports.batch_update_export_schedules(request).await?.into_inner();
            batch_view(response.results, &response.batch_id, 0)
        }
        other => panic!("not a batch: {other:?}"),
    })
}
