//! The contenders: the service, and bare tonic servers on the same database, without middleware, rules or conversions.

mod rows;
mod seaorm;
mod sqlx;
mod statements;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::sqlx::{Postgres, Sqlite};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use outflow::grpc::proto as pb;
use outflow::model::{Cursor, Role};
use pb::stream_blocking_exports_response::{Event, Summary};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;
use uuid::Uuid;

use crate::support::{Backend, Client, Clients as _, TestServer};

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
        let seaorm = serve(seaorm::SeaOrm::open(server)).await;
        let sqlx = match server.backend {
            Backend::Sqlite => serve(sqlx::Sqlx::<Sqlite>::open(server)).await,
            Backend::Postgres => serve(sqlx::Sqlx::<Postgres>::open(server)).await,
        };
        let (mut admins, mut contributors) = (Vec::new(), Vec::new());
        for address in [server.address, seaorm, sqlx] {
            let root = server.token("acme", "root", &[Role::Admin], &[]);
            let ann = server.token("acme", "ann", &[Role::Contributor], &[]);
            let (mut admin_clients, mut contributor_clients) = (Vec::new(), Vec::new());
            for _ in 0..CHANNELS {
                admin_clients.push(Client::connect(address, Some(&root)).await);
                contributor_clients.push(Client::connect(address, Some(&ann)).await);
            }
            admins.push(admin_clients);
            contributors.push(contributor_clients);
        }
        Self { admins, contributors }
    }
}

/// A page of the stream.
pub struct Page {
    messages: Vec<pb::StreamBlockingExportsResponse>,
    /// The number of attached exports.
    count: i64,
    /// The revision after which the next page starts.
    revision: i64,
}

/// The operations of a bare server.
pub trait Bare: Send + Sync + 'static {
    /// Reads a connection by its id.
    fn get(&self, id: &str) -> impl Future<Output = pb::Connection> + Send;
    /// Creates an export of `ann` on a connection.
    fn create(&self, request: pb::CreateExportRequest) -> impl Future<Output = pb::Export> + Send;
    /// Finds the uid of a connection by its id.
    fn find_uid(&self, id: &str) -> impl Future<Output = Uuid> + Send;
    /// Reads a page of attached exports after a cursor.
    fn page(&self, cursor: Cursor) -> impl Future<Output = Page> + Send;
}

/// The last segment of a name.
fn id(name: &str) -> &str {
    name.rsplit('/').next().expect("a name")
}

/// Starts a bare server, and returns its address.
async fn serve(bare: impl Bare) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let bare = Arc::new(bare);
    let mut server = tonic::transport::Server::builder();
    let server = server.add_service(Connections(Arc::clone(&bare))).add_service(Exports(bare));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    address
}

type Messages = Pin<Box<dyn Stream<Item = Result<pb::StreamBlockingExportsResponse, Status>> + Send>>;

/// Streams one page after the other, then the summary.
fn stream(bare: Arc<impl Bare>, uid: Uuid) -> Messages {
    let start = rows::start(uid);
    let pages = futures_util::stream::unfold(Some(start), move |cursor| {
        let bare = Arc::clone(&bare);
        async move {
            let mut cursor = cursor?;
            let mut page = bare.page(cursor).await;
            let last = page.messages.len() < statements::PAGE_SIZE;
            cursor.last_revision = page.revision;
            if last {
                let blocking_set_etag = cursor.encode();
                let summary = Summary { blocking_export_count: page.count, blocking_set_etag };
                let (event, cursor) = (Some(Event::Summary(summary)), cursor.encode());
                page.messages.push(pb::StreamBlockingExportsResponse { event, cursor });
            }
            let messages = futures_util::stream::iter(page.messages.into_iter().map(Ok));
            Some((messages, (!last).then_some(cursor)))
        }
    });
    Box::pin(futures_util::StreamExt::flatten(pages))
}

struct Connections<B>(Arc<B>);

struct Exports<B>(Arc<B>);

impl<B> Clone for Connections<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Clone for Exports<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> NamedService for Connections<B> {
    const NAME: &'static str = "outflow.v1.ConnectionService";
}

impl<B> NamedService for Exports<B> {
    const NAME: &'static str = "outflow.v1.ExportService";
}

impl<B: Bare> tower::Service<http::Request<Body>> for Connections<B> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let bare = Arc::clone(&self.0);
        Box::pin(async move {
            if request.uri().path().ends_with("/GetConnection") {
                let get = service_fn(|request: Request<pb::GetConnectionRequest>| {
                    let bare = Arc::clone(&bare);
                    async move {
                        let connection = Some(bare.get(id(&request.into_inner().name)).await);
                        Ok(Response::new(pb::GetConnectionResponse { connection }))
                    }
                });
                return Ok(Grpc::new(ProstCodec::default()).unary(get, request).await);
            }
            let stream = service_fn(|request: Request<pb::StreamBlockingExportsRequest>| {
                let bare = Arc::clone(&bare);
                async move {
                    let uid = bare.find_uid(id(&request.into_inner().name)).await;
                    Ok(Response::new(stream(bare, uid)))
                }
            });
            Ok(Grpc::new(ProstCodec::default()).server_streaming(stream, request).await)
        })
    }
}

impl<B: Bare> tower::Service<http::Request<Body>> for Exports<B> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let bare = Arc::clone(&self.0);
        Box::pin(async move {
            let create = service_fn(|request: Request<pb::CreateExportRequest>| {
                let bare = Arc::clone(&bare);
                async move {
                    let export = Some(bare.create(request.into_inner()).await);
                    Ok(Response::new(pb::CreateExportResponse { export }))
                }
            });
            Ok(Grpc::new(ProstCodec::default()).unary(create, request).await)
        })
    }
}
