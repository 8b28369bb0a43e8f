//! The contenders: the service, and bare tonic servers on the same database, without middleware, rules or conversions.

mod changes;
mod rows;
mod seaorm;
mod services;
mod sqlx;
mod statements;

use std::net::SocketAddr;

use ::sqlx::{Postgres, Sqlite};
use outflow::grpc::proto as pb;
use outflow::model::{ConnectionUid, Cursor, Role};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use crate::support::{Backend, Client, Clients as _, TestServer};
use rows::{Page, Snapshot};

/// The number of channels to each contender.
const CHANNELS: usize = 4;

/// The clients of each contender, in the order of `CONTENDERS`.
pub struct Contenders {
    /// Clients of an administrator.
    pub admins: Vec<Vec<Client>>,
    /// Clients of a contributor.
    pub contributors: Vec<Vec<Client>>,
}

impl Contenders {
    /// Starts the bare servers beside the service.
    pub async fn start(server: &TestServer) -> Self {
        Self {
            admins: clients(server, "root", Role::Admin).await,
            contributors: clients(server, "ann", Role::Contributor).await,
        }
    }
}

/// Connects to each contender. A bare server has one caller.
async fn clients(server: &TestServer, principal: &str, role: Role) -> Vec<Vec<Client>> {
    let url = server.database_url.as_str();
    let seaorm = serve(seaorm::SeaOrm::open(server.backend, url, role)).await;
    let sqlx = match server.backend {
        Backend::Sqlite => serve(sqlx::Sqlx::<Sqlite>::open(url, role)).await,
        Backend::Postgres => serve(sqlx::Sqlx::<Postgres>::open(url, role)).await,
    };
    let token = server.token("acme", principal, &[role], &[]);
    let mut contenders = Vec::new();
    for address in [server.address, seaorm, sqlx] {
        let mut clients = Vec::new();
        for _ in 0..CHANNELS {
            clients.push(Client::connect(address, Some(&token)).await);
        }
        contenders.push(clients);
    }
    contenders
}

/// The operations of a bare server. Those with a default have the handlers of SeaORM alone.
pub trait Bare: Send + Sync + 'static {
    /// Reads a connection by its id.
    fn get(&self, id: &str) -> impl Future<Output = pb::Connection> + Send;
    /// Reads the first page of connections in the order of their creation.
    fn list(&self) -> impl Future<Output = pb::ListConnectionsResponse> + Send;
    /// Creates a connection of the type `sftp` with a credential.
    fn create_connection(&self, _: pb::CreateConnectionRequest) -> impl Future<Output = pb::Connection> + Send {
        async { unimplemented!("CreateConnection") }
    }
    /// Creates an export on a connection of the type `sftp`.
    fn create_export(&self, request: pb::CreateExportRequest) -> impl Future<Output = pb::Export> + Send;
    /// Changes the display name of an attached export.
    fn update_export(&self, _: pb::UpdateExportRequest) -> impl Future<Output = pb::Export> + Send {
        async { unimplemented!("UpdateExport") }
    }
    /// Finds the start of the stream of a connection by its id.
    fn start(&self, id: &str) -> impl Future<Output = Cursor> + Send;
    /// Reads a page of attached exports after a cursor.
    fn page(&self, cursor: Cursor) -> impl Future<Output = Page> + Send;
}

/// The last segment of a name.
fn id(name: &str) -> &str {
    name.rsplit('/').next().expect("a name")
}

/// The cursor at the start of the stream.
fn start(connection: ConnectionUid, snapshot: Snapshot) -> Cursor {
    Cursor { connection, start_revision: snapshot.revision, last_revision: 0, released_until: snapshot.time }
}

/// Starts a bare server, and returns its address.
async fn serve(bare: impl Bare) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tonic::transport::Server::builder().add_routes(services::routes(bare));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    address
}

/// Serves the bare handlers of SeaORM alone, for the administrator `root`, until the process is killed.
pub async fn serve_alone(url: &str, address: &str) {
    let backend = if url.starts_with("sqlite:") { Backend::Sqlite } else { Backend::Postgres };
    let listener = TcpListener::bind(address).await.expect("the address is free");
    let routes = services::routes(seaorm::SeaOrm::open(backend, url, Role::Admin));
    let server = tonic::transport::Server::builder().add_routes(services::with_reflection(routes));
    println!("bare handlers of {backend:?} listen on {address}");
    server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await.expect("it serves");
}
