//! Drain: ends the response streams that have no shutdown signal of their own, those of health and reflection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tower::Service;

use super::layer::Middleware;
use crate::app::App;
use crate::grpc::methods::Route;
use crate::model::{Error, Unavailable};

/// Ends streams of health and reflection on shutdown.
pub struct Drain {
    app: App,
}

impl Drain {
    /// Drains when the application stops.
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

impl Middleware for Drain {
    async fn handle<S>(&self, request: Request<Body>, mut inner: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>, Future: Send, Error: Send> + Send,
    {
        let drained = matches!(Route::of(request.uri().path()), Route::Health | Route::Reflection);
        let response = inner.call(request).await?;
        if !drained {
            return Ok(response);
        }
        let stopping: BoxFuture<'static, ()> = Box::pin(self.app.stopping());
        Ok(response.map(|body| Body::new(DrainBody { inner: Some(body), stopping })))
    }
}

/// A body that ends with UNAVAILABLE on shutdown.
struct DrainBody {
    /// `None` once it has ended.
    inner: Option<Body>,
    stopping: BoxFuture<'static, ()>,
}

impl http_body::Body for DrainBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        // Messages that are ready are sent first, so that a health watch still reports NOT_SERVING.
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(this.stopping.as_mut().poll(context));
        this.inner = None;
        let mut trailers = HeaderMap::new();
        Status::from(Error::Unavailable(Unavailable::Draining)).add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
