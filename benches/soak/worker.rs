//! A worker: makes a fixed sequence of calls again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::Event;
use prost_types::FieldMask;
use tonic::{Code, Response, Status};

use crate::support::{Client, Clients, create_connection, create_export, cron, parent};

/// The number of exports that stay on the connection of a worker.
const EXPORTS: u64 = 50;
/// How many unexpected ends of calls are printed.
const MAX_PRINTED: u64 = 20;
/// The orders of lists.
const ORDERS: [&str; 3] = ["create_time", "display_name desc", "update_time"];

/// What all workers counted.
#[derive(Default)]
pub struct Counts {
    /// All calls.
    pub calls: AtomicU64,
    /// Those that ended in another way than expected.
    pub unexpected: AtomicU64,
}

impl Counts {
    /// Counts a call that has to end with a code. Returns the response of one that succeeded.
    fn check<T>(&self, what: &str, expected: Code, result: Result<Response<T>, Status>) -> Option<T> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (code, message) = match &result {
            Ok(_) => (Code::Ok, ""),
            Err(status) => (status.code(), status.message()),
        };
        if code != expected {
            self.report(&format!("{what} ended with {code:?} instead of {expected:?}: {message}"));
        }
        result.ok().map(Response::into_inner)
    }

    fn report(&self, what: &str) {
        if self.unexpected.fetch_add(1, Ordering::Relaxed) < MAX_PRINTED {
            println!("  {what}");
        }
    }
}

/// A worker with a connection of its own, which is shared with all contributors.
pub struct Worker {
    counts: Arc<Counts>,
    admin: Client,
    contributor: Client,
    anonymous: Client,
    connection: String,
    /// Exports on it, which stay.
    exports: Vec<String>,
}

impl Worker {
    /// Connects, and creates the connection and its exports.
    pub async fn prepare(server: &impl Clients, number: u64, counts: Arc<Counts>) -> Self {
        let mut admin = server.admin().await;
        let connection = admin.shared_connection(&format!("Worker {number}")).await.name;
        let mut exports = Vec::new();
        for number in 0..EXPORTS {
            exports.push(admin.export(&connection, &format!("Stays {number}")).await.name);
        }
        let (contributor, anonymous) = (server.contributor("ann").await, server.anonymous().await);
        Self { counts, admin, contributor, anonymous, connection, exports }
    }

    /// Repeats the calls until `end`.
    pub async fn run(mut self, end: Instant) {
        for number in 0.. {
            if Instant::now() >= end {
                return;
            }
            self.read(number).await;
            self.list(number).await;
            // The rest of a sequence is left out if a call fails, which was counted.
            let _ = self.change_connection().await;
            let _ = self.change_export().await;
            self.refused().await;
            self.stream(number).await;
            self.cancelled(number).await;
        }
    }

    /// The export that stays whose turn it is.
    fn export(&self, number: usize) -> String {
        self.exports[number % self.exports.len()].clone()
    }

    async fn read(&mut self, number: usize) {
        let counts = &self.counts;
        let request = pb::GetConnectionRequest { name: self.connection.clone() };
        counts.check("GetConnection", Code::Ok, self.admin.connections.get_connection(request).await);
        let request = pb::GetExportRequest { name: self.exports[number % self.exports.len()].clone() };
        counts.check("GetExport", Code::Ok, self.contributor.exports.get_export(request).await);
        let request = pb::GetConnectionTypeRequest { name: "connectionTypes/sftp".to_owned() };
        counts.check("GetConnectionType", Code::Ok, self.admin.connections.get_connection_type(request).await);
        counts.check(
            "GetCaller",
            Code::Ok,
            self.contributor.identity.get_caller(pb::GetCallerRequest::default()).await,
        );
        let request = pb::PreviewScheduleRequest {
            parent: parent(),
            schedule: Some(cron("0 6 * * MON", "Europe/Berlin")),
            count: 10,
        };
        counts.check("PreviewSchedule", Code::Ok, self.contributor.exports.preview_schedule(request).await);
    }

    async fn list(&mut self, number: usize) {
        let (counts, order_by) = (&self.counts, ORDERS[number % ORDERS.len()].to_owned());
        let request = pb::ListConnectionsRequest {
            parent: parent(),
            order_by: order_by.clone(),
            ..pb::ListConnectionsRequest::default()
        };
        counts.check("ListConnections", Code::Ok, self.admin.connections.list_connections(request).await);
        let request =
            pb::ListExportsRequest { parent: parent(), order_by, search: "1".to_owned(), ..Default::default() };
        counts.check("ListExports", Code::Ok, self.contributor.exports.list_exports(request).await);
        let request = pb::SearchUsableConnectionsRequest { parent: parent(), ..Default::default() };
        let found = self.contributor.connections.search_usable_connections(request).await;
        counts.check("SearchUsableConnections", Code::Ok, found);
        let request = pb::ListAuditEventsRequest { parent: parent(), ..pb::ListAuditEventsRequest::default() };
        counts.check("ListAuditEvents", Code::Ok, self.admin.audit.list_audit_events(request).await);
        let request = pb::ListExportRunsRequest { parent: format!("{}/exports/-", parent()), ..Default::default() };
        counts.check("ListExportRuns", Code::Ok, self.contributor.exports.list_export_runs(request).await);
    }

    /// Creates, changes and deletes a connection.
    async fn change_connection(&mut self) -> Option<()> {
        let (counts, connections) = (&self.counts, &mut self.admin.connections);
        let created = connections.create_connection(create_connection("Created")).await;
        let name = counts.check("CreateConnection", Code::Ok, created)?.connection?.name;
        let request = pb::UpdateConnectionRequest {
            connection: Some(pb::Connection {
                name: name.clone(),
                description: "Changed".to_owned(),
                ..pb::Connection::default()
            }),
            update_mask: Some(FieldMask { paths: vec!["description".to_owned()] }),
            ..pb::UpdateConnectionRequest::default()
        };
        counts.check("UpdateConnection", Code::Ok, connections.update_connection(request).await)?;
        let members = vec!["user:bea".to_owned()];
        let request = pb::ShareConnectionRequest { name: name.clone(), members: members.clone(), ..Default::default() };
        counts.check("ShareConnection", Code::Ok, connections.share_connection(request).await)?;
        let request = pb::UnshareConnectionRequest { name: name.clone(), members, ..Default::default() };
        counts.check("UnshareConnection", Code::Ok, connections.unshare_connection(request).await)?;
        let request = pb::SuspendConnectionRequest { name: name.clone(), ..Default::default() };
        counts.check("SuspendConnection", Code::Ok, connections.suspend_connection(request).await)?;
        let request = pb::ResumeConnectionRequest { name: name.clone(), ..Default::default() };
        counts.check("ResumeConnection", Code::Ok, connections.resume_connection(request).await)?;
        let request = pb::DeleteConnectionRequest { name, ..pb::DeleteConnectionRequest::default() };
        counts.check("DeleteConnection", Code::Ok, connections.delete_connection(request).await)?;
        Some(())
    }

    /// Creates, changes, detaches, attaches, duplicates and deletes an export.
    async fn change_export(&mut self) -> Option<()> {
        let (counts, exports) = (&self.counts, &mut self.contributor.exports);
        let mut request = create_export(&self.connection, "Created");
        request.export.as_mut()?.schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let created = counts.check("CreateExport", Code::Ok, exports.create_export(request).await)?;
        let name = created.export?.name;
        counts.check("UpdateExport", Code::Ok, exports.update_export(rename(&name, "Changed")).await)?;
        let request = pb::DuplicateExportRequest { name: name.clone(), ..pb::DuplicateExportRequest::default() };
        let copy = counts.check("DuplicateExport", Code::Ok, exports.duplicate_export(request).await)?.export?.name;
        let request = pb::DetachExportRequest { name: name.clone(), ..pb::DetachExportRequest::default() };
        counts.check("DetachExport", Code::Ok, self.admin.exports.detach_export(request).await)?;
        let request = pb::AttachExportRequest {
            name: name.clone(),
            connection: self.connection.clone(),
            ..pb::AttachExportRequest::default()
        };
        counts.check("AttachExport", Code::Ok, exports.attach_export(request).await)?;
        let request = pb::DeleteExportRequest { name, ..pb::DeleteExportRequest::default() };
        counts.check("DeleteExport", Code::Ok, exports.delete_export(request).await)?;
        let request = pb::BatchDeleteExportsRequest { parent: parent(), names: vec![copy], ..Default::default() };
        counts.check("BatchDeleteExports", Code::Ok, exports.batch_delete_exports(request).await)?;
        Some(())
    }

    /// Calls that are refused.
    async fn refused(&mut self) {
        let counts = &self.counts;
        let request = pb::GetConnectionRequest { name: self.connection.clone() };
        let result = self.contributor.connections.get_connection(request.clone()).await;
        counts.check("GetConnection of a contributor", Code::PermissionDenied, result);
        let result = self.anonymous.connections.get_connection(request).await;
        counts.check("GetConnection without a token", Code::Unauthenticated, result);
        let request = pb::DetachExportRequest { name: self.exports[0].clone(), ..Default::default() };
        let result = self.contributor.exports.detach_export(request).await;
        counts.check("DetachExport of a contributor", Code::PermissionDenied, result);
        let result = self.contributor.exports.create_export(create_export(&self.connection, "")).await;
        counts.check("CreateExport without a display name", Code::InvalidArgument, result);
        let request = pb::GetExportRequest { name: format!("{}/exports/missing", parent()) };
        counts.check("GetExport of none", Code::NotFound, self.admin.exports.get_export(request).await);
        let request = pb::DeleteConnectionRequest { name: self.connection.clone(), ..Default::default() };
        let result = self.admin.connections.delete_connection(request).await;
        counts.check("DeleteConnection with exports", Code::FailedPrecondition, result);
    }

    /// Reads the stream of the connection: to its end, and every other time only its first message.
    async fn stream(&mut self, number: usize) {
        let request = pb::StreamBlockingExportsRequest { name: self.connection.clone(), ..Default::default() };
        let opened = self.admin.connections.stream_blocking_exports(request).await;
        let Some(mut stream) = self.counts.check("StreamBlockingExports", Code::Ok, opened) else { return };
        let mut seen = 0;
        loop {
            match stream.message().await.map(|message| message.and_then(|message| message.event)) {
                Ok(Some(Event::Blocking(_))) if number % 2 == 1 => return,
                Ok(Some(Event::Blocking(_))) => seen += 1,
                Ok(Some(Event::Summary(_))) if seen == EXPORTS => return,
                other => return self.counts.report(&format!("a stream of {seen} exports has {other:?}")),
            }
        }
    }

    /// Cancels calls at once, or up to 3 ms later.
    async fn cancelled(&mut self, number: usize) {
        let after = Duration::from_millis(number as u64 % 4);
        let request = pb::ListExportsRequest { parent: parent(), ..pb::ListExportsRequest::default() };
        let _ = tokio::time::timeout(after, self.admin.exports.list_exports(request)).await;
        let request = rename(&self.export(number), &format!("Renamed {number}"));
        let _ = tokio::time::timeout(after, self.admin.exports.update_export(request)).await;
        self.counts.calls.fetch_add(2, Ordering::Relaxed);
    }
}

fn rename(name: &str, display_name: &str) -> pb::UpdateExportRequest {
    pb::UpdateExportRequest {
        export: Some(pb::Export {
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            ..pb::Export::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["display_name".to_owned()] }),
        ..pb::UpdateExportRequest::default()
    }
}
