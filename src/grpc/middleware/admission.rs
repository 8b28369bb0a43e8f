//! Admission: checks the role of the method, acquires a concurrency permit, and applies the deadline.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status};

use super::access_log::CallInfo;
use crate::grpc::methods::{Method, Route};
use crate::grpc::{deadline, status};
use crate::model::{Caller, Error, Exhausted};

/// Maximum number of concurrent unary calls. Further calls are refused.
pub const MAX_UNARY_CALLS: usize = 256;

/// Limits the number of concurrent unary calls.
pub struct Admission {
    unary_calls: Arc<Semaphore>,
}

/// A call that was authorized; an extension of its request.
#[derive(Clone)]
pub struct AuthorizedCall {
    /// The method.
    pub method: &'static Method,
    /// When the call times out.
    pub deadline: Instant,
    /// The concurrency permit of a unary call.
    pub permit: Option<Arc<dyn Any + Send + Sync>>,
}

impl Admission {
    /// How many unary calls are in flight.
    pub fn calls_in_flight(&self) -> usize {
        MAX_UNARY_CALLS - self.unary_calls.available_permits()
    }

    /// Checks the role of the caller, and acquires a permit.
    fn check(&self, request: &Request, method: &'static Method) -> Result<AuthorizedCall, Error> {
        let caller = request.extensions().get::<Arc<Caller>>().ok_or(Error::Unauthenticated)?;
        if !caller.has(method.role) {
            return Err(Error::RoleRequired(method.role));
        }
        let permit = if method.streams { None } else { Some(self.acquire_permit()?) };
        let started = request.extensions().get::<CallInfo>().map_or_else(Instant::now, |call| call.started);
        Ok(AuthorizedCall {
            method,
            deadline: deadline::of(started, request.headers(), method.streams),
            permit: permit.map(|permit| Arc::new(permit) as Arc<dyn Any + Send + Sync>),
        })
    }

    fn acquire_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.unary_calls).try_acquire_owned();
        permit.map_err(|_| Error::Exhausted(Exhausted::Overloaded))
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self { unary_calls: Arc::new(Semaphore::new(MAX_UNARY_CALLS)) }
    }
}

/// Authorizes a call or refuses it, and applies its deadline.
pub async fn authorize<F>(admission: &Admission, mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let method = match Route::of(request.uri().path()) {
        Route::Method(method) => method,
        Route::Health | Route::Reflection => return next(request).await,
        Route::Unknown => return status::unknown_method().into_http(),
    };
    let call = match admission.check(&request, method) {
        Ok(call) => call,
        Err(error) => return Status::from(error).into_http(),
    };
    let deadline = call.deadline;
    request.extensions_mut().insert(call);
    match tokio::time::timeout_at(deadline.into(), next(request)).await {
        Ok(response) => with_reason(response),
        Err(_) => Status::from(Error::DeadlineExceeded).into_http(),
    }
}

/// Adds a reason to a status that tonic returned before a handler was called.
fn with_reason(response: Response) -> Response {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok && status.details().is_empty() => {
            status::from_tonic(&status).into_http()
        }
        _ => response,
    }
}
