//! The services of a bare server.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _};
use outflow::grpc::proto as pb;
use outflow::model::Cursor;
use outflow::model::token::{Etag, TokenKind};
use pb::stream_blocking_exports_response::{Event, Summary};
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::statements::STREAM_PAGE_SIZE;
use super::{Bare, id};

/// The services of a bare server.
pub fn routes(bare: impl Bare) -> Routes {
    let bare = Arc::new(bare);
    Routes::new(Connections(Arc::clone(&bare))).add_service(Exports(bare))
}

/// The same and reflection, which load generators need.
pub fn with_reflection(routes: Routes) -> Routes {
    let builder =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(pb::DESCRIPTOR_SET);
    let (v1, v1alpha) = (builder().build_v1().expect("reflection"), builder().build_v1alpha().expect("reflection"));
    routes.add_service(v1).add_service(v1alpha)
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
        Box::pin(async move { Ok(call_connections(&bare, request).await) })
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
        Box::pin(async move { Ok(call_exports(bare.as_ref(), request).await) })
    }
}

async fn call_connections<B: Bare>(bare: &Arc<B>, request: http::Request<Body>) -> http::Response<Body> {
    match method(&request) {
        "GetConnection" => {
            let get = |request: pb::GetConnectionRequest| async move {
                pb::GetConnectionResponse { connection: Some(bare.get(id(&request.name)).await) }
            };
            unary(request, get).await
        }
        "ListConnections" => unary(request, |_: pb::ListConnectionsRequest| bare.list()).await,
        "CreateConnection" => {
            let create = |request: pb::CreateConnectionRequest| async move {
                pb::CreateConnectionResponse { connection: Some(bare.create_connection(request).await) }
            };
            unary(request, create).await
        }
        "StreamBlockingExports" => {
            let stream = service_fn(|request: Request<pb::StreamBlockingExportsRequest>| async move {
                let start = bare.start(id(&request.into_inner().name)).await;
                Ok(Response::new(stream(Arc::clone(bare), start)))
            });
            Grpc::new(ProstCodec::default()).server_streaming(stream, request).await
        }
        other => Status::unimplemented(other).into_http(),
    }
}

async fn call_exports(bare: &impl Bare, request: http::Request<Body>) -> http::Response<Body> {
    match method(&request) {
        "CreateExport" => {
            let create = |request: pb::CreateExportRequest| async move {
                pb::CreateExportResponse { export: Some(bare.create_export(request).await) }
            };
            unary(request, create).await
        }
        "UpdateExport" => {
            let update = |request: pb::UpdateExportRequest| async move {
                pb::UpdateExportResponse { export: Some(bare.update_export(request).await) }
            };
            unary(request, update).await
        }
        other => Status::unimplemented(other).into_http(),
    }
}

fn method(request: &http::Request<Body>) -> &str {
    id(request.uri().path())
}

/// Decodes a request, calls a handler, and encodes its response.
async fn unary<Q, R, F>(request: http::Request<Body>, call: impl Fn(Q) -> F) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    R: Message + 'static,
    F: Future<Output = R>,
{
    let call = service_fn(|request: Request<Q>| {
        let response = call(request.into_inner());
        async { Ok::<_, Status>(Response::new(response.await)) }
    });
    Grpc::new(ProstCodec::default()).unary(call, request).await
}

type Messages = Pin<Box<dyn Stream<Item = Result<pb::StreamBlockingExportsResponse, Status>> + Send>>;

/// Streams one page after the other, then the summary.
fn stream(bare: Arc<impl Bare>, start: Cursor) -> Messages {
    let pages = futures_util::stream::unfold(Some(start), move |cursor| {
        let bare = Arc::clone(&bare);
        async move {
            let mut page = bare.page(cursor?).await;
            let is_last = page.messages.len() < STREAM_PAGE_SIZE;
            if is_last {
                let (mut cursor, snapshot) = (page.cursor, page.snapshot);
                cursor.last_revision = snapshot.revision;
                cursor.released_until = snapshot.time;
                let etag = Etag { uid: cursor.connection.0, revision: snapshot.revision };
                let blocking_set_etag = etag.encode(TokenKind::BlockingSet);
                let summary = Summary { blocking_export_count: snapshot.count, blocking_set_etag };
                let (event, cursor) = (Some(Event::Summary(summary)), cursor.encode());
                page.messages.push(pb::StreamBlockingExportsResponse { event, cursor });
            }
            let messages = futures_util::stream::iter(page.messages.into_iter().map(Ok));
            Some((messages, (!is_last).then_some(page.cursor)))
        }
    });
    Box::pin(pages.flatten())
}
