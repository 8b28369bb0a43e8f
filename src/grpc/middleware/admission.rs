//! Admission: checks the role of the method, receives the message, acquires what the call may use, and applies the
//! deadline.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http_body_util::Full;
use parking_lot::Mutex;
use tonic::{Code, Status};

use super::access_log::CallInfo;
use super::connection::ConnectionCalls;
use super::receive::{Budget, decompress, decompressed_length, receive};
use super::respond::{encode, hold_until_sent};
use crate::fair_share::{FairShare, Share};
use crate::grpc::methods::{Method, Route};
use crate::grpc::{deadline, status};
use crate::model::{Caller, Error, Result, limits};

/// Maximum number of calls whose message is arriving, or that wait until they may begin.
const MAX_INCOMING_CALLS: u64 = 2_048;
/// The path of health checks that are streams.
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
/// Maximum number of open streams of reflection.
const MAX_REFLECTION_STREAMS: u64 = 100;
/// How long a stream of reflection can be open. Clients open another one when they need it.
const REFLECTION_TIMEOUT: Duration = Duration::from_mins(1);
/// Memory of a call whose response has one resource.
const RESOURCE_BYTES: u64 = 128 * 1024;
/// Memory of a call whose response has many resources: resources and message of a page. It is less than an eighth of the
/// smallest `max_message_memory_mib`. Rows are not part of it: they are converted as soon as a statement has read them, so that
/// there are no more of them than the connections to the database read.
const PAGE_BYTES: u64 = 2 * limits::MAX_PAGE_BYTES as u64;
/// Memory of a request, as it was received and with its decoded values, in units of its bytes.
const REQUEST_FACTOR: u64 = 4;
/// Maximum size of the message of a health check in bytes.
pub const MAX_HEALTH_BYTES: usize = 1_024;
/// How long a call whose message has arrived waits until it may begin.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// How much all calls can use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Unary calls whose message has arrived and whose response has not been sent.
    pub unary_calls: u64,
    /// Bytes of requests and responses that are worked on, or were not sent yet. Half as many can arrive in addition.
    pub message_bytes: u64,
}

/// What calls share.
pub struct Admission {
    unary_calls: FairShare,
    incoming_calls: FairShare,
    incoming_bytes: FairShare,
    message_bytes: FairShare,
    reflection_streams: FairShare,
}

/// A call that was authorized; an extension of its request.
#[derive(Clone)]
pub struct AuthorizedCall {
    /// The method.
    pub method: &'static Method,
    /// When the call times out.
    pub deadline: Instant,
    /// What a unary call has acquired.
    pub permit: Option<Arc<dyn Any + Send + Sync>>,
}

/// What a call has acquired.
struct Permit {
    _call: Option<Share>,
    memory: Mutex<Share>,
}

impl Admission {
    /// Nothing is in use.
    pub fn new(limits: &CallLimits) -> Self {
        Self {
            unary_calls: FairShare::new("unary_calls", limits.unary_calls),
            incoming_calls: FairShare::fixed("incoming_calls", MAX_INCOMING_CALLS),
            incoming_bytes: FairShare::fixed("incoming_bytes", limits.message_bytes / 2),
            message_bytes: FairShare::new("message_bytes", limits.message_bytes),
            reflection_streams: FairShare::fixed("reflection_streams", MAX_REFLECTION_STREAMS),
        }
    }

    /// How many unary calls are in flight.
    pub fn calls_in_flight(&self) -> u64 {
        self.unary_calls.held()
    }

    /// How many unary calls can be in flight.
    pub fn max_calls(&self) -> u64 {
        self.unary_calls.total()
    }

    /// Receives the message of a call, and acquires what the call may use.
    async fn admit(
        &self,
        caller: &Arc<Caller>,
        call: &mut AuthorizedCall,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Body, Arc<Permit>)> {
        let incoming = self.incoming_calls.try_acquire(Some(caller), 1)?;
        let budget = Budget { bytes: &self.incoming_bytes, caller };
        let (message, received) = receive(body, limits::MAX_MESSAGE_BYTES, call.deadline, Some(budget)).await?;
        let length = decompressed_length(&message, headers, limits::MAX_MESSAGE_BYTES).await?;
        let response = match call.method {
            // The limits of streams are those of the application.
            Method { streams: true, .. } => 0,
            Method { returns_many: true, .. } => PAGE_BYTES,
            _ => RESOURCE_BYTES,
        };
        let bytes = response.max(REQUEST_FACTOR * length as u64);
        let (unary_call, memory) = self.acquire(caller, call, bytes).await?;
        let body = Body::new(Full::new(decompress(message, headers, length).await?));
        drop((incoming, received));
        let permit = Arc::new(Permit { _call: unary_call, memory: Mutex::new(memory) });
        if call.method.streams {
            return Ok((body, permit));
        }
        call.permit = Some(Arc::clone(&permit) as Arc<dyn Any + Send + Sync>);
        Ok((body, permit))
    }

    /// Waits until a call may begin.
    async fn acquire(&self, caller: &Arc<Caller>, call: &AuthorizedCall, bytes: u64) -> Result<(Option<Share>, Share)> {
        let end = call.deadline.min(Instant::now() + MAX_WAIT);
        let left = || end.saturating_duration_since(Instant::now());
        let acquired = async {
            let mut unary_call = None;
            if !call.method.streams {
                unary_call = Some(self.unary_calls.acquire(Some(caller), 1, left()).await?);
            }
            Ok((unary_call, self.message_bytes.acquire(Some(caller), bytes, left()).await?))
        };
        let is_over = || call.deadline <= Instant::now();
        acquired.await.map_err(|refused| if is_over() { Error::DeadlineExceeded } else { refused })
    }
}

/// Authorizes a call or refuses it, and applies its deadline.
pub async fn authorize<F>(admission: &Admission, request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let handled = match Route::of(request.uri().path()) {
        Route::Method(method) => call(admission, method, request, next).await,
        Route::Health => return health_check(request, next).await,
        Route::Reflection => reflection(admission, request, next).await,
        Route::Unknown => return status::unknown_method().into_http(),
    };
    handled.unwrap_or_else(|error| Status::from(error).into_http())
}

async fn call<F>(
    admission: &Admission,
    method: &'static Method,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Result<Response>
where
    F: Future<Output = Response>,
{
    let (mut parts, body) = request.into_parts();
    let caller = parts.extensions.get::<Arc<Caller>>().cloned().ok_or(Error::Unauthenticated)?;
    if let Some(role) = method.role.filter(|role| !caller.has(*role)) {
        return Err(Error::RoleRequired(role));
    }
    let started = parts.extensions.get::<CallInfo>().map_or_else(Instant::now, |call| call.started);
    let deadline = deadline::of(started, &parts.headers, method.streams);
    let mut call = AuthorizedCall { method, deadline, permit: None };
    let (body, permit) = admission.admit(&caller, &mut call, &parts.headers, body).await?;
    parts.extensions.insert(call);
    let connection = parts.extensions.get::<ConnectionCalls>().cloned();
    let response = tokio::time::timeout_at(deadline.into(), next(Request::from_parts(parts, body))).await;
    let response = with_reason(response.map_err(|_| Error::DeadlineExceeded)?);
    if method.streams {
        return Ok(response);
    }
    let (response, length) = encode(response).await?;
    permit.memory.lock().set(length);
    Ok(hold_until_sent(response, permit, deadline, connection))
}

/// Limits a health check. It needs no token, so the number is limited by connection.
pub async fn health_check<F>(request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    limited_health_check(request, next).await.unwrap_or_else(|error| Status::from(error).into_http())
}

async fn limited_health_check<F>(request: Request, next: impl FnOnce(Request) -> F) -> Result<Response>
where
    F: Future<Output = Response>,
{
    let connection = request.extensions().get::<ConnectionCalls>().cloned();
    let permit = connection.as_ref().map(ConnectionCalls::begin_health_check).transpose()?;
    let is_watch = request.uri().path() == HEALTH_WATCH;
    let deadline = deadline::of(Instant::now(), request.headers(), is_watch);
    let (parts, body) = request.into_parts();
    let (message, _) = receive(body, MAX_HEALTH_BYTES, deadline, None).await?;
    let response = next(Request::from_parts(parts, Body::new(Full::new(message)))).await;
    Ok(hold_until_sent(response, Arc::new(permit), deadline, connection))
}

/// Reflection is a stream in both directions, which clients keep open while they read descriptors.
async fn reflection<F>(admission: &Admission, request: Request, next: impl FnOnce(Request) -> F) -> Result<Response>
where
    F: Future<Output = Response>,
{
    // In development, reflection needs no caller.
    let caller = request.extensions().get::<Arc<Caller>>();
    let permit = admission.reflection_streams.try_acquire(caller, 1)?;
    let deadline = Instant::now() + REFLECTION_TIMEOUT;
    let connection = request.extensions().get::<ConnectionCalls>().cloned();
    // The task that reads the requests ends with them.
    let end = tokio::time::sleep_until(deadline.into());
    let request = request.map(|body| Body::from_stream(body.into_data_stream().take_until(end)));
    let response = tokio::time::timeout_at(deadline.into(), next(request)).await;
    Ok(hold_until_sent(response.map_err(|_| Error::DeadlineExceeded)?, Arc::new(permit), deadline, connection))
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
