//! The attacks, each of which returns what it did.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use outflow::grpc::proto as pb;
use outflow::model::Role;
use prost::Message as _;
use tokio::time::{Instant, timeout_at};

use super::messages::{gzip, repeated};
use super::raw::{Raw, bytewise, complete, framed, tcp, unfinished};
use crate::support::{Clients as _, Process, create_export, parent};

/// What an attack does until its time is over.
type Attack = for<'a> fn(&'a Attacker, Duration) -> BoxFuture<'a, String>;

/// Every attack by its name.
pub const ATTACKS: [(&str, Attack); 12] = [
    ("repeated fields", |attacker, duration| attacker.repeated_fields(duration).boxed()),
    ("large requests", |attacker, duration| attacker.large_requests(duration).boxed()),
    ("bytewise messages", |attacker, duration| attacker.bytewise_messages(duration).boxed()),
    ("bombs", |attacker, duration| attacker.bombs(duration).boxed()),
    ("unfinished health checks", |attacker, duration| attacker.unfinished_health_checks(duration).boxed()),
    ("unfinished messages", |attacker, duration| attacker.unfinished_messages(duration).boxed()),
    ("headers only", |attacker, duration| attacker.headers_only(duration).boxed()),
    ("unread responses", |attacker, duration| attacker.unread_responses(duration).boxed()),
    ("expired responses", |attacker, duration| attacker.expired_responses(duration).boxed()),
    ("large lists", |attacker, duration| attacker.large_lists(duration).boxed()),
    ("streams", |attacker, duration| attacker.streams(duration).boxed()),
    ("silent connections", |attacker, duration| attacker.silent_connections(duration).boxed()),
];

/// The window of streams that are read.
const WINDOW: u32 = 1 << 20;
/// Exports that the attacker lists, each of 40 KiB.
const EXPORTS: usize = 60;

/// Adds filters, each with values of 40 KiB.
fn add_filters(request: &mut pb::CreateExportRequest, count: usize) {
    let value = |number: usize| prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue(format!("{number:0>40}"))),
    };
    let filter = pb::PayloadFilter {
        field: "email".to_owned(),
        comparison: pb::payload_filter::Comparison::NotIn.into(),
        values: (0..900).map(value).collect(),
    };
    let payload = request.export.as_mut().and_then(|export| export.payload.as_mut()).expect("a payload");
    payload.tables[0].filters.extend(vec![filter; count]);
}

/// An administrator who attacks: a caller with all rights in one organization.
pub struct Attacker {
    server: SocketAddr,
    token: String,
    connection: String,
}

impl Attacker {
    /// Creates large exports.
    pub async fn prepare(server: &Process) -> Self {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        for number in 0..EXPORTS {
            let mut request = create_export(&connection, &format!("Export {number}"));
            add_filters(&mut request, 1);
            admin.exports.create_export(request).await.expect("created");
        }
        let token = server.token("acme", "mallory", &[Role::Admin], &[]);
        Self { server: server.address, token, connection }
    }

    async fn connections(&self, count: usize, window: u32) -> Vec<Raw> {
        join_all((0..count).map(|_| Raw::open(self.server, window))).await.into_iter().flatten().collect()
    }

    /// Sends the same requests again and again on several connections; returns how many were answered.
    async fn send(&self, requests: &[(&str, bytes::Bytes, bool)], streams: usize, duration: Duration) -> usize {
        let end = Instant::now() + duration;
        let connections = self.connections(4, WINDOW).await;
        let sending = (0..streams).map(|number| {
            let mut raw = connections[number % connections.len()].clone();
            async move {
                let mut answered = 0;
                for (path, body, compressed) in requests.iter().cycle().skip(number) {
                    let encoding = if *compressed { "gzip" } else { "identity" };
                    let call = raw.call(path, Some(&self.token), encoding, complete(body.clone()));
                    match timeout_at(end, call).await {
                        Ok(Ok(_)) => answered += 1,
                        // The server may reset a stream whose message is too large.
                        Ok(Err(_)) => {}
                        Err(_) => break,
                    }
                }
                answered
            }
        });
        let answered = join_all(sending).await.into_iter().sum();
        assert!(answered > 0, "the server answers");
        answered
    }

    async fn repeated_fields(&self, duration: Duration) -> String {
        let requests = repeated();
        let requests: Vec<_> =
            requests.into_iter().map(|(path, message)| (path, framed(true, &gzip(&message)), true)).collect();
        let answered = self.send(&requests, 64, duration).await;
        format!("{answered} requests with 390,000 fields")
    }

    async fn large_requests(&self, duration: Duration) -> String {
        let mut request = create_export(&self.connection, "Large");
        request.validate_only = true;
        add_filters(&mut request, 16);
        let message = request.encode_to_vec();
        let requests = [("/outflow.v1.ExportService/CreateExport", framed(true, &gzip(&message)), true)];
        format!("{} requests of {} KiB", self.send(&requests, 250, duration).await, message.len() / 1024)
    }

    async fn bytewise_messages(&self, duration: Duration) -> String {
        let end = Instant::now() + duration;
        let connections = self.connections(10, WINDOW).await;
        let calls =
            connections.iter().flat_map(|raw| std::iter::repeat_n(raw, 10)).map(|raw| {
                let mut raw = raw.clone();
                let path = "/outflow.v1.ExportService/CreateExport";
                async move {
                    timeout_at(end, raw.call(path, Some(&self.token), "identity", bytewise(700 << 10))).await.is_ok()
                }
            });
        let answered = join_all(calls).await.into_iter().filter(|answered| *answered).count();
        assert!(answered > 0, "the server answers");
        format!("100 messages in frames of a byte, {answered} answered")
    }

    async fn bombs(&self, duration: Duration) -> String {
        let path = "/outflow.v1.ExportService/CreateExport";
        let requests =
            [(path, framed(true, &gzip(&vec![0; 64 << 20])), true), (path, framed(false, &vec![0; 8 << 20]), false)];
        format!("{} messages over the limit", self.send(&requests, 32, duration).await)
    }

    /// Opens calls that do not end, and keeps them open until the time is over.
    async fn hold(
        &self,
        path: &str,
        token: Option<&str>,
        body: impl Fn() -> tonic::body::Body,
        duration: Duration,
    ) -> usize {
        let end = Instant::now() + duration;
        let connections = self.connections(10, 0).await;
        let calls = connections.iter().flat_map(|raw| std::iter::repeat_n(raw, 150)).map(|raw| {
            let (mut raw, body) = (raw.clone(), body());
            async move {
                // The response is kept, and not read.
                let response = timeout_at(end, raw.call(path, token, "identity", body)).await;
                tokio::time::sleep_until(end).await;
                usize::from(response.is_ok())
            }
        });
        let calls: Vec<_> = calls.collect();
        let count = calls.len();
        let answered: usize = join_all(calls).await.into_iter().sum();
        assert!(count >= 1_500, "{count} calls");
        answered
    }

    async fn unfinished_health_checks(&self, duration: Duration) -> String {
        let mut body = framed(false, &[0; 1_000]).to_vec();
        body.truncate(800);
        let body = bytes::Bytes::from(body);
        let answered = self.hold("/grpc.health.v1.Health/Check", None, || unfinished(body.clone()), duration).await;
        format!("1,500 health checks whose message does not end, {answered} answered")
    }

    async fn unfinished_messages(&self, duration: Duration) -> String {
        let mut body = framed(false, &vec![0; 700 << 10]).to_vec();
        body.truncate(600 << 10);
        let body = bytes::Bytes::from(body);
        let path = "/outflow.v1.ConnectionService/StreamBlockingExports";
        let answered = self.hold(path, Some(&self.token), || unfinished(body.clone()), duration).await;
        format!("1,500 messages of 700 KiB that do not end, {answered} answered")
    }

    async fn headers_only(&self, duration: Duration) -> String {
        let body = || unfinished(bytes::Bytes::new());
        let path = "/outflow.v1.ConnectionService/GetConnection";
        let answered = self.hold(path, Some(&self.token), body, duration).await;
        format!("1,500 calls without a message, {answered} answered")
    }

    fn list() -> bytes::Bytes {
        let list = pb::ListExportsRequest { parent: parent(), page_size: 1_000, ..Default::default() };
        framed(false, &list.encode_to_vec())
    }

    async fn unread_responses(&self, duration: Duration) -> String {
        let body = Self::list();
        let path = "/outflow.v1.ExportService/ListExports";
        let answered = self.hold(path, Some(&self.token), || complete(body.clone()), duration).await;
        format!("1,500 lists that are not read, {answered} answered")
    }

    /// Lists that time out while the client accepts a byte of each: 1,500 every second, on new connections.
    async fn expired_responses(&self, duration: Duration) -> String {
        let end = Instant::now() + duration;
        let (path, body) = ("/outflow.v1.ExportService/ListExports", Self::list());
        let calling = (0..10).map(async |_| {
            let mut answered = Vec::new();
            while Instant::now() < end {
                let next = Instant::now() + Duration::from_secs(1);
                let Some(mut raw) = Raw::open(self.server, 1).await else { continue };
                raw.timeout = "1S";
                let calls = (0..150).map(|_| {
                    let mut raw = raw.clone();
                    let body = complete(body.clone());
                    async move { timeout_at(end, raw.call(path, Some(&self.token), "identity", body)).await }
                });
                answered.extend(join_all(calls).await.into_iter().flatten().flatten());
                tokio::time::sleep_until(next).await;
            }
            answered.len()
        });
        let answered: usize = join_all(calling).await.into_iter().sum();
        assert!(answered > 0, "the server answers");
        format!("{answered} lists that time out unread")
    }

    async fn large_lists(&self, duration: Duration) -> String {
        let requests = [("/outflow.v1.ExportService/ListExports", Self::list(), false)];
        format!("{} lists", self.send(&requests, 250, duration).await)
    }

    async fn streams(&self, duration: Duration) -> String {
        let request =
            pb::StreamBlockingExportsRequest { name: self.connection.clone(), follow: true, ..Default::default() };
        let body = framed(false, &request.encode_to_vec());
        let end = Instant::now() + duration;
        let connections = self.connections(1, 0).await;
        let calls = (0..10_000).map(|_| {
            let (mut raw, body) = (connections[0].clone(), complete(body.clone()));
            async move {
                let path = "/outflow.v1.ConnectionService/StreamBlockingExports";
                let response = timeout_at(end, raw.call(path, Some(&self.token), "identity", body)).await;
                tokio::time::sleep_until(end).await;
                usize::from(response.is_ok())
            }
        });
        let answered: usize = join_all(calls).await.into_iter().sum();
        assert!(answered > 0, "the server answers");
        format!("10,000 streams on one connection, {answered} answered")
    }

    async fn silent_connections(&self, duration: Duration) -> String {
        let end = Instant::now() + duration;
        let connections = join_all((0..1_000).map(|_| tcp(self.server))).await;
        tokio::time::sleep_until(end).await;
        let open = connections.iter().flatten().count();
        assert!(open >= 250, "as many as the server accepts");
        format!("{open} connections that say nothing")
    }
}
