//! Authentication: verifies the token of a call and puts the caller into the request.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, header};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::access_log::CallInfo;
use super::layer::Middleware;
use crate::app::App;
use crate::grpc::methods::Route;
use crate::identity::{AuthnError, Verifier, bearer_token};
use crate::model::{Caller, Error};

/// Authenticates callers. Health checks need no authentication, nor does reflection if it is configured as public.
pub struct Authenticate {
    app: App,
    verifier: Verifier,
    open_reflection: bool,
}

impl Authenticate {
    /// Verifies tokens with `verifier`. With `open_reflection`, reflection needs no token.
    pub fn new(app: App, verifier: Verifier, open_reflection: bool) -> Self {
        Self { app, verifier, open_reflection }
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, AuthnError> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.verifier.verify(bearer_token(header)?, self.app.now()).await
    }
}

impl Middleware for Authenticate {
    async fn handle<S>(&self, mut request: Request<Body>, mut inner: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>, Future: Send, Error: Send> + Send,
    {
        let open = match Route::of(request.uri().path()) {
            Route::Health => true,
            Route::Reflection => self.open_reflection,
            Route::Method(_) | Route::Unknown => false,
        };
        if open {
            return inner.call(request).await;
        }
        let caller = match self.caller(request.headers()).await {
            Ok(caller) => caller,
            Err(error) => {
                metrics::counter!("auth.rejected", "reason" => error.reason()).increment(1);
                tracing::debug!(reason = error.reason(), "rejected a token");
                return Ok(Status::from(Error::from(error)).into_http());
            }
        };
        if let Some(call) = request.extensions().get::<CallInfo>() {
            // A request has no caller before this middleware.
            let _ = call.caller.set(Arc::clone(&caller));
        }
        request.extensions_mut().insert(caller);
        inner.call(request).await
    }
}
