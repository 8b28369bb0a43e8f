//! The calls themselves, over the wire.

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::Event;
use tonic::{Response, Status};

use super::operations::{Expiry, Op};
use super::views::{Answer, Organization, seen_connection, seen_export};
use crate::support::{Client, create_connection, create_export, cron, password, sftp, with_host};

fn one<T>(answer: Response<T>, connection: impl FnOnce(T) -> (Option<pb::Connection>, i64)) -> Answer {
    let (connection, count) = connection(answer.into_inner());
    Answer::Connection(Box::new(seen_connection(connection.expect("answered"))), count)
}

fn export<T>(answer: Response<T>, export: impl FnOnce(T) -> Option<pb::Export>) -> Answer {
    Answer::Export(Box::new(seen_export(export(answer.into_inner()).expect("answered"))))
}

fn batch(results: Vec<pb::BatchResult>, batch_id: &str, count: i64) -> Answer {
    assert!(!batch_id.is_empty(), "a batch has an id");
    Answer::Batch(results.into_iter().map(|result| (result.name, result.state)).collect(), count)
}

fn credential(expiry: Option<&Expiry>) -> pb::CredentialInput {
    pb::CredentialInput { expire_time: expiry.map(|expiry| expiry.time), ..password("secret") }
}

/// Makes a call of somebody's, with a request id if it is a change.
pub async fn call(client: &mut Client, at: &Organization, op: &Op, request_id: String) -> Result<Answer, Status> {
    match op {
        Op::CreateConnection { .. }
        | Op::Describe { .. }
        | Op::MoveEndpoint { .. }
        | Op::DeleteConnection { .. }
        | Op::Share { .. }
        | Op::Unshare { .. } => change_connection(client, at, op, request_id).await,
        Op::Suspend { .. } | Op::Resume { .. } | Op::Rotate { .. } | Op::Revoke { .. } => {
            change_condition(client, at, op, request_id).await
        }
        Op::GetConnection { .. } | Op::SearchUsable | Op::Stream { .. } | Op::ListExports { .. } => {
            read(client, at, op).await
        }
        Op::Later { .. } => Ok(Answer::Nothing),
        Op::DeleteExports { .. }
        | Op::AttachMany { .. }
        | Op::DetachMany { .. }
        | Op::DetachSet { .. }
        | Op::Switch { .. } => change_exports(client, at, op, request_id).await,
        _ => change_export(client, at, op, request_id).await,
    }
}

async fn change_connection(
    client: &mut Client,
    at: &Organization,
    op: &Op,
    request_id: String,
) -> Result<Answer, Status> {
    let connections = &mut client.connections;
    Ok(match op.clone() {
        Op::CreateConnection { id, all, members, secret, expiry } => {
            let sharing = Some(pb::Sharing { all_contributors: all, members });
            let request = pb::CreateConnectionRequest {
                parent: at.parent(),
                connection: Some(pb::Connection { sharing, ..sftp(&format!("Connection {id}")) }),
                connection_id: id,
                credential: secret.then(|| credential(expiry.as_ref())),
                request_id,
                ..create_connection("")
            };
            one(connections.create_connection(request).await?, |made| (made.connection, 0))
        }
        Op::Describe { id, description, etag } => {
            let connection =
                pb::Connection { name: at.connection(&id), description, etag: etag.text, ..Default::default() };
            let request =
                pb::UpdateConnectionRequest { connection: Some(connection), request_id, ..Default::default() };
            one(connections.update_connection(request).await?, |made| (made.connection, 0))
        }
        Op::MoveEndpoint { id, host, secret } => {
            let moved = pb::Connection { name: at.connection(&id), ..with_host(&sftp(""), &host) };
            let update_mask = Some(prost_types::FieldMask { paths: vec!["properties".to_owned()] });
            let credential = secret.then(|| credential(None));
            let request = pb::UpdateConnectionRequest {
                connection: Some(moved),
                update_mask,
                credential,
                request_id,
                ..Default::default()
            };
            one(connections.update_connection(request).await?, |made| (made.connection, 0))
        }
        Op::DeleteConnection { id, etag } => {
            let name = at.connection(&id);
            let request = pb::DeleteConnectionRequest { name, etag: etag.text, request_id, ..Default::default() };
            connections.delete_connection(request).await?;
            Answer::Nothing
        }
        Op::Share { id, all, members } => {
            let (name, all_contributors) = (at.connection(&id), all);
            let request =
                pb::ShareConnectionRequest { name, all_contributors, members, request_id, ..Default::default() };
            one(connections.share_connection(request).await?, |made| (made.connection, 0))
        }
        Op::Unshare { id, all, members } => {
            let (name, all_contributors) = (at.connection(&id), all);
            let request =
                pb::UnshareConnectionRequest { name, all_contributors, members, request_id, ..Default::default() };
            let unshared = connections.unshare_connection(request).await?;
            one(unshared, |made| (made.connection, made.affected_export_count))
        }
        other => panic!("{other:?} is no change of a connection"),
    })
}

/// Whether its exports may run.
async fn change_condition(
    client: &mut Client,
    at: &Organization,
    op: &Op,
    request_id: String,
) -> Result<Answer, Status> {
    let connections = &mut client.connections;
    Ok(match op.clone() {
        Op::Suspend { id, reason } => {
            let request =
                pb::SuspendConnectionRequest { name: at.connection(&id), reason, request_id, ..Default::default() };
            one(connections.suspend_connection(request).await?, |made| (made.connection, 0))
        }
        Op::Resume { id } => {
            let request = pb::ResumeConnectionRequest { name: at.connection(&id), request_id, ..Default::default() };
            one(connections.resume_connection(request).await?, |made| (made.connection, 0))
        }
        Op::Rotate { id, expiry } => {
            let (name, credential) = (at.connection(&id), Some(credential(expiry.as_ref())));
            let request = pb::RotateConnectionCredentialRequest { name, credential, request_id, ..Default::default() };
            one(connections.rotate_connection_credential(request).await?, |made| (made.connection, 0))
        }
        Op::Revoke { id } => {
            let name = at.connection(&id);
            let request = pb::RevokeConnectionCredentialRequest { name, request_id, ..Default::default() };
            one(connections.revoke_connection_credential(request).await?, |made| (made.connection, 0))
        }
        other => panic!("{other:?} is no change of a condition"),
    })
}

async fn read(client: &mut Client, at: &Organization, op: &Op) -> Result<Answer, Status> {
    Ok(match op {
        Op::GetConnection { id } => {
            let request = pb::GetConnectionRequest { name: at.connection(id) };
            one(client.connections.get_connection(request).await?, |found| (found.connection, 0))
        }
        Op::SearchUsable => {
            let request = pb::SearchUsableConnectionsRequest { parent: at.parent(), ..Default::default() };
            let found = client.connections.search_usable_connections(request).await?.into_inner();
            Answer::Usable(found.usable_connections)
        }
        Op::ListExports { manage } => {
            let access = if *manage { pb::export::CallerAccess::Manage } else { pb::export::CallerAccess::View };
            let request =
                pb::ListExportsRequest { parent: at.parent(), caller_access: access.into(), ..Default::default() };
            let found = client.exports.list_exports(request).await?.into_inner();
            Answer::Exports(found.exports.into_iter().map(seen_export).collect())
        }
        Op::Stream { id } => {
            let request = pb::StreamBlockingExportsRequest { name: at.connection(id), ..Default::default() };
            let mut stream = client.connections.stream_blocking_exports(request).await?.into_inner();
            let mut shown = Vec::new();
            loop {
                let message = stream.message().await?.expect("a summary before the end");
                match message.event.expect("an event") {
                    Event::Blocking(one) => shown.push((one.name, one.display_name, one.creator, one.state)),
                    Event::Summary(summary) => return Ok(Answer::Stream(shown, summary.blocking_export_count)),
                    other => panic!("{other:?} within the listing"),
                }
            }
        }
        other => panic!("{other:?} is no read"),
    })
}

async fn change_export(client: &mut Client, at: &Organization, op: &Op, request_id: String) -> Result<Answer, Status> {
    let exports = &mut client.exports;
    Ok(match op.clone() {
        Op::CreateExport { id, connection, enabled } => {
            let mut request = create_export(&at.connection(&connection), &format!("Export {id}"));
            let schedule = pb::Schedule { enabled, ..cron("0 6 * * *", "Europe/Berlin") };
            request.export.as_mut().expect("an export").schedule = Some(schedule);
            let request = pb::CreateExportRequest { parent: at.parent(), export_id: id, request_id, ..request };
            export(exports.create_export(request).await?, |made| made.export)
        }
        Op::DescribeExport { id, description, etag } => {
            let changed = pb::Export { name: at.export(&id), description, etag: etag.text, ..Default::default() };
            let request = pb::UpdateExportRequest { export: Some(changed), request_id, ..Default::default() };
            export(exports.update_export(request).await?, |made| made.export)
        }
        Op::DeleteExport { id, etag } => {
            let name = at.export(&id);
            let request = pb::DeleteExportRequest { name, etag: etag.text, request_id, ..Default::default() };
            exports.delete_export(request).await?;
            Answer::Nothing
        }
        Op::Duplicate { id, copy } => {
            let (name, export_id) = (at.export(&id), copy);
            let request = pb::DuplicateExportRequest { name, export_id, request_id, ..Default::default() };
            export(exports.duplicate_export(request).await?, |made| made.export)
        }
        Op::Attach { id, connection, etag } => {
            let (name, connection, etag) = (at.export(&id), at.connection(&connection), etag.text);
            let request = pb::AttachExportRequest { name, connection, etag, request_id, ..Default::default() };
            export(exports.attach_export(request).await?, |made| made.export)
        }
        Op::Detach { id, reason, etag } => {
            let (name, etag) = (at.export(&id), etag.text);
            let request = pb::DetachExportRequest { name, reason, etag, request_id, ..Default::default() };
            export(exports.detach_export(request).await?, |made| made.export)
        }
        other => panic!("{other:?} is no change of an export"),
    })
}

/// Batches.
async fn change_exports(client: &mut Client, at: &Organization, op: &Op, request_id: String) -> Result<Answer, Status> {
    let exports = &mut client.exports;
    Ok(match op.clone() {
        Op::DeleteExports { ids } => {
            let (parent, names) = (at.parent(), at.exports(&ids));
            let request = pb::BatchDeleteExportsRequest { parent, names, request_id, ..Default::default() };
            let done = exports.batch_delete_exports(request).await?.into_inner();
            batch(done.results, &done.batch_id, 0)
        }
        Op::AttachMany { ids, connection } => {
            let (parent, names, connection) = (at.parent(), at.exports(&ids), at.connection(&connection));
            let request = pb::BatchAttachExportsRequest { parent, names, connection, request_id, ..Default::default() };
            let done = exports.batch_attach_exports(request).await?.into_inner();
            batch(done.results, &done.batch_id, 0)
        }
        Op::DetachMany { ids, reason } => {
            let (parent, names) = (at.parent(), at.exports(&ids));
            let request = pb::BatchDetachExportsRequest { parent, names, reason, request_id, ..Default::default() };
            let done = exports.batch_detach_exports(request).await?.into_inner();
            batch(done.results, &done.batch_id, done.detached_count)
        }
        Op::DetachSet { id, shown } => {
            let set = pb::batch_detach_exports_request::AttachedSet {
                connection: at.connection(&id),
                blocking_set_etag: shown.etag,
            };
            let request = pb::BatchDetachExportsRequest {
                parent: at.parent(),
                attached_set: Some(set),
                request_id,
                ..Default::default()
            };
            let done = exports.batch_detach_exports(request).await?.into_inner();
            batch(done.results, &done.batch_id, done.detached_count)
        }
        Op::Switch { ids, enabled } => {
            let request = pb::BatchUpdateExportSchedulesRequest {
                parent: at.parent(),
                names: at.exports(&ids),
                change: Some(pb::batch_update_export_schedules_request::Change::Enabled(enabled)),
                request_id,
                ..Default::default()
            };
            let done = exports.batch_update_export_schedules(request).await?.into_inner();
            batch(done.results, &done.batch_id, 0)
        }
        other => panic!("{other:?} is no batch"),
    })
}
