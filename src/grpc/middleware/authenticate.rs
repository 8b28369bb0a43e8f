//! Authentication: verifies the token of a call and puts the caller into the request.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, header};
use tonic::Status;

use super::access_log::CallInfo;
use crate::app::App;
use crate::grpc::methods::Route;
use crate::identity::{AuthnError, Verifier, bearer_token};
use crate::model::{Caller, Error};

/// What the authentication of a caller needs.
pub struct Authenticator {
    /// The application, for its clock.
    pub app: App,
    /// The issuers whose tokens are accepted.
    pub verifier: Verifier,
    /// Whether reflection needs no token.
    pub public_reflection: bool,
}

impl Authenticator {
    async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, AuthnError> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.verifier.verify(bearer_token(header)?, self.app.now()).await
    }
}

/// Authenticates the caller. Health checks need no token, nor does reflection in development mode.
pub async fn authenticate<F>(
    authenticator: &Authenticator,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let open = match Route::of(request.uri().path()) {
        Route::Health => true,
        Route::Reflection => authenticator.public_reflection,
        Route::Method(_) | Route::Unknown => false,
    };
    if open {
        return next(request).await;
    }
    let caller = match authenticator.caller(request.headers()).await {
        Ok(caller) => caller,
        Err(error) => {
            metrics::counter!("auth.rejected", "reason" => error.reason()).increment(1);
            tracing::debug!(reason = error.reason(), "rejected a token");
            return Status::from(Error::from(error)).into_http();
        }
    };
    if let Some(call) = request.extensions().get::<CallInfo>() {
        // A request has no caller before this middleware.
        let _ = call.caller.set(Arc::clone(&caller));
    }
    request.extensions_mut().insert(caller);
    next(request).await
}
