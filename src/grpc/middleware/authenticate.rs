//! Authentication: verifies the token of a call, or the client certificate of its connection, and puts the caller into the
//! request.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{Extensions, HeaderMap, header};
use tonic::Status;

use super::access_log::CallInfo;
use super::connection::ConnectionCalls;
use super::rejections::RejectionLog;
use crate::app::App;
use crate::grpc::methods::Route;
use crate::identity::{AuthnError, ClientCertificate, ClientTable, Rejection, Verifier, bearer_token};
use crate::model::{Caller, Error};

/// What the authentication of a caller needs.
pub struct Authenticator {
    /// The application, for its clock.
    pub app: App,
    /// Verifies tokens; `None`: they are not accepted.
    pub tokens: Option<Verifier>,
    /// The clients whose certificates are accepted; `None`: they are not.
    pub clients: Option<Arc<ClientTable>>,
    /// Whether reflection needs no token.
    pub public_reflection: bool,
    /// Logs refused callers.
    pub rejections: RejectionLog,
}

impl Authenticator {
    /// A token decides, if there is one.
    async fn caller(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Arc<Caller>, Rejection> {
        let header = headers.get(header::AUTHORIZATION);
        if let (Some(clients), None) = (&self.clients, header) {
            let certificate = extensions.get::<Result<Arc<ClientCertificate>, AuthnError>>();
            let certificate = certificate.ok_or(AuthnError::Missing)?.as_ref().map_err(|error| *error)?;
            return Ok(clients.caller(certificate, self.app.now())?);
        }
        let header = header.map(|value| value.to_str().map_err(|_| AuthnError::Malformed)).transpose()?;
        let token = bearer_token(header)?;
        self.tokens.as_ref().ok_or(AuthnError::Issuer)?.verify(token, self.app.now()).await
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
    let caller = match authenticator.caller(request.headers(), request.extensions()).await {
        Ok(caller) => caller,
        Err(rejection) => {
            let request_id = request.extensions().get::<CallInfo>().map(|call| call.call_id.as_str());
            authenticator.rejections.record(&rejection, request_id);
            return Status::from(Error::from(rejection.reason)).into_http();
        }
    };
    if let Some(call) = request.extensions().get::<CallInfo>() {
        // A request has no caller before this middleware.
        let _ = call.caller.set(Arc::clone(&caller));
    }
    if let Some(calls) = request.extensions().get::<ConnectionCalls>() {
        calls.authenticated();
    }
    request.extensions_mut().insert(caller);
    next(request).await
}
