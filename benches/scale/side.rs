//! One of the two servers that are compared, and its exports.

use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use http::uri::PathAndQuery;
use outflow::grpc::proto as pb;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use tonic::Request;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::calls::{Call, Caller};
use crate::fill;
use crate::raw::Raw;
use crate::support::{
    Backend, Client, Clients as _, ORGANIZATION, TestServer, create_connection, create_export, cron, method,
};
use outflow::model::Role;

/// The number of connections. Each has as many exports as every other.
pub const CONNECTIONS: usize = 1_000;
/// The number of calls of a kind in a round, each with another connection.
const CALLS: u32 = 400;
/// The number of concurrent calls.
const IN_FLIGHT: usize = 8;

/// A server.
pub struct Side {
    channels: Vec<Channel>,
    admin: AsciiMetadataValue,
    contributor: AsciiMetadataValue,
    exports_per_connection: usize,
    /// A run of an export.
    run: String,
    /// The server and its database.
    pub server: TestServer,
}

impl Side {
    /// Starts a server with a new database, and fills it.
    pub async fn start(backend: Backend, exports_per_connection: usize) -> Self {
        let server = TestServer::start(backend).await;
        let mut admin = server.admin().await;
        for number in 0..CONNECTIONS {
            create(&mut admin, number).await;
        }
        let database = server.database().await;
        let changes = [
            ("id", "t.id || '-' || n.n"),
            ("display_name", "'Segment ' || n.n"),
            ("display_name_search", "'segment ' || n.n"),
            ("attached_revision", "1 + n.n"),
        ];
        if exports_per_connection > 1 {
            fill::copy(&database, "exports", exports_per_connection as u64 - 1, &changes).await;
        }
        database
            .execute(&format!(
                "UPDATE connections SET attached_export_count = {exports_per_connection}, \
                 attachment_revision = {exports_per_connection}, last_attached_revision = {exports_per_connection}"
            ))
            .await;
        let request = pb::RunExportRequest { name: export_name(0, 0), ..pb::RunExportRequest::default() };
        let run = admin.exports.run_export(request).await.expect("queued").into_inner().run.expect("a run").name;
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
        let mut channels = Vec::new();
        for _ in 0..IN_FLIGHT {
            channels.push(endpoint.connect().await.expect("the server listens"));
        }
        let bearer = |subject, role| {
            let token = server.token(ORGANIZATION, subject, &[role], &[]);
            format!("Bearer {token}").parse::<AsciiMetadataValue>().expect("a token is ASCII")
        };
        let (admin, contributor) = (bearer("root", Role::Admin), bearer("ann", Role::Contributor));
        Self { channels, admin, contributor, exports_per_connection, run, server }
    }

    /// Makes the calls of a kind in a round, and returns how many per second.
    pub async fn rate(&self, call: &Call, round: usize) -> f64 {
        let path = format!("/outflow.v1.{}", call.method).parse::<PathAndQuery>().expect("a path");
        let token = if call.caller == Caller::Admin { &self.admin } else { &self.contributor };
        let requests: Vec<_> = (0..CALLS as usize).map(|number| self.request(call, round, number)).collect();
        let workers = self.channels.iter().enumerate().map(|(first, channel)| {
            let (path, requests, mut grpc) = (&path, &requests, Grpc::new(channel.clone()));
            async move {
                for message in requests.iter().skip(first).step_by(IN_FLIGHT) {
                    let mut request = Request::new(message.clone());
                    request.metadata_mut().insert("authorization", token.clone());
                    grpc.ready().await.expect("the channel is open");
                    let result = grpc.unary(request, path.clone(), Raw).await;
                    result.unwrap_or_else(|status| panic!("{}: {status}", call.name()));
                }
            }
        });
        let start = Instant::now();
        join_all(workers).await;
        f64::from(CALLS) / start.elapsed().as_secs_f64()
    }

    /// The encoded request of a call.
    fn request(&self, call: &Call, round: usize, number: usize) -> Bytes {
        let method = method(&format!("outflow.v1.{}", call.method)).expect("a method");
        // Other exports in each round: callers read all of them.
        let copy = (number + round) * 7_919 % self.exports_per_connection;
        let json = call
            .request
            .replace("{connection}", &connection_name(number))
            .replace("{export}", &export_name(number, copy))
            .replace("{run}", &self.run)
            .replace("{new}", &format!("new-{round}-{number}"))
            .replace("{copy}", &format!("copy-{round}-{number}"));
        let message = DynamicMessage::deserialize(method.input(), &mut serde_json::Deserializer::from_str(&json));
        message.unwrap_or_else(|error| panic!("{}: {error}", call.name())).encode_to_vec().into()
    }
}

/// Creates a connection that is shared with all contributors, and its first export.
async fn create(admin: &mut Client, number: usize) {
    let mut request = create_connection(&format!("Connection {number}"));
    request.connection_id = format!("c-{number}");
    let sharing = pb::Sharing { all_contributors: true, members: Vec::new() };
    request.connection.as_mut().expect("a connection").sharing = Some(sharing);
    admin.connections.create_connection(request).await.expect("created");
    let mut request = create_export(&connection_name(number), "Segment");
    request.export_id = format!("e-{number}");
    request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
    admin.exports.create_export(request).await.expect("created");
}

fn connection_name(number: usize) -> String {
    format!("organizations/acme/connections/c-{number}")
}

/// The name of the first export of a connection, or of one of its copies.
fn export_name(connection: usize, copy: usize) -> String {
    let name = format!("organizations/acme/exports/e-{connection}");
    if copy == 0 { name } else { format!("{name}-{copy}") }
}
