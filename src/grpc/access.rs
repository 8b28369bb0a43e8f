//! What is told of each call: one log line, `x-request-id` on the answer, and the denied attempt for the audit log.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Response};
use sha2::{Digest, Sha256};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::gate::Identity;
use crate::app::Denial;

/// The caller's id of the call, and ours where it gave none.
const REQUEST_ID: &str = "x-request-id";
/// Characters of a caller's id.
const REQUEST_ID_CHARS: usize = 64;

/// A call as the log will tell of it.
pub struct Access {
    /// The path as it came.
    pub path: String,
    /// `x-request-id`.
    pub call_id: String,
    /// The W3C trace.
    pub trace_id: Option<String>,
    /// When it came.
    pub began: Instant,
    /// Whose it is, once that is known.
    pub identity: Option<Arc<Identity>>,
    /// How it ended; until it has, as if its client had left.
    pub code: Code,
}

impl Access {
    /// A call that comes in.
    pub fn begin(path: &str, headers: &HeaderMap) -> Self {
        Self {
            path: path.to_owned(),
            call_id: call_id(headers),
            trace_id: trace_id(headers),
            began: Instant::now(),
            identity: None,
            code: Code::Cancelled,
        }
    }

    /// Its answer goes out: the header, and the denial if it was one.
    pub fn answered(&mut self, response: &mut Response<Body>) -> Option<Denial> {
        if let Ok(value) = HeaderValue::from_str(&self.call_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        // A status in the headers is all there is; otherwise the call is answered, or its stream begins.
        let status = Status::from_header_map(response.headers());
        self.code = status.as_ref().map_or(Code::Ok, Status::code);
        let (status, identity) = (status?, self.identity.as_deref()?);
        (self.code == Code::PermissionDenied).then(|| self.denial(&status, identity))
    }

    /// Its stream begins; how it ends is still to be seen.
    pub fn begun(&mut self) {
        self.code = Code::Cancelled;
    }

    fn denial(&self, status: &Status, identity: &Identity) -> Denial {
        let details = status.get_error_details();
        Denial {
            caller: identity.caller.clone(),
            method: self.path.trim_start_matches('/').to_owned(),
            code: "PERMISSION_DENIED",
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            resource: details.resource_info().map(|info| info.resource_name.clone()),
            call_id: self.call_id.clone(),
        }
    }
}

/// However a call ends, by its answer or because its client left, it is one line of the log.
impl Drop for Access {
    fn drop(&mut self) {
        let principal = self.identity.as_ref().map(|identity| digest(&identity.caller.principal));
        tracing::info!(
            target: "access",
            method = %self.path.trim_start_matches('/'),
            code = ?self.code,
            latency_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            principal,
            request_id = %self.call_id,
            trace_id = self.trace_id.as_deref(),
            "call"
        );
    }
}

/// Tells principals apart on the log without naming them.
fn digest(principal: &str) -> String {
    Sha256::digest(principal.as_bytes())[..8].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn call_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fits = |text: &&str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        !text.is_empty() && text.len() <= REQUEST_ID_CHARS && text.bytes().all(fits)
    };
    given.filter(fits).map_or_else(|| Uuid::new_v4().to_string(), ToOwned::to_owned)
}

/// The trace id of a W3C `traceparent`.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let trace_id = parent.split('-').nth(1)?;
    let hexadecimal = trace_id.len() == 32 && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| trace_id.to_owned())
}
