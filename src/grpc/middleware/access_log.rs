//! Access log: one line per call (health and reflection excepted), its duration as a metric, the `x-request-id`
//! response header, and denied attempts for the audit log.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use sha2::{Digest, Sha256};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::app::{App, DeniedAttempt};
use crate::grpc::methods::Route;
use crate::grpc::status;
use crate::model::{Caller, TraceParent, excerpt};

/// The header with the id of the call. A caller may send one; the response has the same, or a new one.
const REQUEST_ID: &str = "x-request-id";
/// The longest path of a call that is logged.
const MAX_PATH_CHARS: usize = 256;
/// The longest id that a caller may choose.
const MAX_REQUEST_ID_CHARS: usize = 64;

/// Identifiers of a call; an extension of its request.
#[derive(Clone)]
pub struct CallInfo {
    /// `x-request-id`
    pub call_id: String,
    /// The W3C trace id.
    pub trace_parent: Option<TraceParent>,
    /// When the call arrived.
    pub started: Instant,
    /// Set once the caller is authenticated.
    pub caller: Arc<OnceLock<Arc<Caller>>>,
}

/// A call, logged when it is dropped.
struct CallRecord {
    info: CallInfo,
    /// The method, as `package.Service/Method`.
    path: String,
    route: Route,
    /// Cancelled until the call has ended.
    code: Code,
}

/// Logs a call, and records a denied attempt in the application.
pub async fn access_log<F>(app: &App, mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let route = Route::of(request.uri().path());
    if matches!(route, Route::Health | Route::Reflection) {
        return next(request).await;
    }
    let mut record = CallRecord::new(request.uri().path(), route, request.headers());
    request.extensions_mut().insert(record.info.clone());
    let mut response = next(request).await;
    if let Some(attempt) = record.on_response(&mut response) {
        app.record_denied_attempt(attempt);
    }
    if matches!(route, Route::Method(method) if method.streams) && record.code == Code::Ok {
        response = response.map(|body| log_at_end(body, record));
    }
    response
}

/// Logs a stream when its body ends or is dropped.
fn log_at_end(body: Body, mut record: CallRecord) -> Body {
    // How the stream ends is not known yet.
    record.code = Code::Cancelled;
    Body::new(body.map_frame(move |frame| {
        if let Some(trailers) = frame.trailers_ref() {
            record.on_trailers(trailers);
        }
        frame
    }))
}

impl CallRecord {
    fn new(path: &str, route: Route, headers: &HeaderMap) -> Self {
        let trace_parent = headers.get("traceparent").and_then(|value| TraceParent::parse(value.to_str().ok()?));
        let info =
            CallInfo { call_id: call_id(headers), trace_parent, started: Instant::now(), caller: Arc::default() };
        Self { info, path: excerpt(path.trim_start_matches('/'), MAX_PATH_CHARS), route, code: Code::Cancelled }
    }

    /// Sets the response header and the code. Returns the denied attempt, if the call was denied.
    fn on_response(&mut self, response: &mut Response) -> Option<DeniedAttempt> {
        if let Ok(value) = HeaderValue::from_str(&self.info.call_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        // A status in the headers is final; without one the call succeeded, or its stream starts.
        let status = Status::from_header_map(response.headers());
        self.code = status.as_ref().map_or(Code::Ok, Status::code);
        let (status, caller) = (status?, self.info.caller.get()?);
        (self.code == Code::PermissionDenied).then(|| self.denied_attempt(&status, caller))
    }

    fn on_trailers(&mut self, trailers: &HeaderMap) {
        self.code = Status::from_header_map(trailers).map_or(Code::Unknown, |status| status.code());
    }

    fn denied_attempt(&self, status: &Status, caller: &Arc<Caller>) -> DeniedAttempt {
        let details = status.get_error_details();
        DeniedAttempt {
            caller: Arc::clone(caller),
            method: self.path.clone(),
            code: "PERMISSION_DENIED",
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            resource: details.resource_info().map(|info| info.resource_name.clone()),
            call_id: self.info.call_id.clone(),
        }
    }
}

/// Logs one line when the call has ended, or when the client has cancelled it.
impl Drop for CallRecord {
    fn drop(&mut self) {
        let elapsed = self.info.started.elapsed();
        metrics::histogram!(
            "rpc.server.call.duration",
            "rpc.system.name" => "grpc",
            "rpc.method" => self.route.method_name(),
            "rpc.response.status_code" => status::code_name(self.code)
        )
        .record(elapsed);
        tracing::info!(
            target: "access",
            method = %self.path,
            code = ?self.code,
            latency_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            principal = self.info.caller.get().map(|caller| digest(&caller.principal)),
            request_id = %self.info.call_id,
            trace_id = self.info.trace_parent.as_ref().map(TraceParent::trace_id),
            "call"
        );
    }
}

/// A pseudonym that distinguishes principals in the log.
fn digest(principal: &str) -> String {
    Sha256::digest(principal.as_bytes())[..8].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The caller's id of the call, or a new one.
fn call_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_valid = |text: &&str| {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        !text.is_empty() && text.len() <= MAX_REQUEST_ID_CHARS && text.bytes().all(is_valid)
    };
    given.filter(is_valid).map_or_else(|| Uuid::new_v4().to_string(), ToOwned::to_owned)
}
