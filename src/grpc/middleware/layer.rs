//! A middleware as a layer of tower.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

/// One concern of every call.
pub trait Middleware: Send + Sync + 'static {
    /// Handles a call, by `inner` or without it.
    fn handle<S>(
        &self,
        request: Request<Body>,
        inner: S,
    ) -> impl Future<Output = Result<Response<Body>, S::Error>> + Send
    where
        S: Service<Request<Body>, Response = Response<Body>, Future: Send, Error: Send> + Send;
}

/// Puts a middleware before a service.
pub struct MiddlewareLayer<M>(Arc<M>);

/// A service wrapped in a middleware.
pub struct MiddlewareService<M, S> {
    middleware: Arc<M>,
    inner: S,
}

impl<M> MiddlewareLayer<M> {
    /// The layer of a middleware.
    pub fn new(middleware: Arc<M>) -> Self {
        Self(middleware)
    }
}

impl<M> Clone for MiddlewareLayer<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M, S: Clone> Clone for MiddlewareService<M, S> {
    fn clone(&self) -> Self {
        Self { middleware: Arc::clone(&self.middleware), inner: self.inner.clone() }
    }
}

impl<M, S> Layer<S> for MiddlewareLayer<M> {
    type Service = MiddlewareService<M, S>;

    fn layer(&self, inner: S) -> Self::Service {
        MiddlewareService { middleware: Arc::clone(&self.0), inner }
    }
}

impl<M, S> Service<Request<Body>> for MiddlewareService<M, S>
where
    M: Middleware,
    S: Service<Request<Body>, Response = Response<Body>, Future: Send, Error: Send> + Clone + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Call the service that `poll_ready` was driven on (see `tower::Service`), and leave its clone here.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let middleware = Arc::clone(&self.middleware);
        Box::pin(async move { middleware.handle(request, inner).await })
    }
}
