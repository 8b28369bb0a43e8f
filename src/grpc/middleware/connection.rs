//! What is known about the connection that a call arrives on, for the listener, which closes connections that are idle.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::{Error, Exhausted, Result, ShareLimit};

/// Maximum number of health checks of a connection, streams included, that are in progress. Connections are limited by
/// address.
const MAX_HEALTH_CHECKS: usize = 10;

/// Their name in errors and metrics.
const HEALTH_CHECKS: &str = "health_checks";
/// Maximum number of responses that a client has not read at their deadlines. HTTP/2 keeps a part of each.
const MAX_UNREAD_RESPONSES: usize = 20;

/// The calls of a connection; an extension of its requests.
#[derive(Clone)]
pub struct ConnectionCalls(Arc<Connection>);

struct Connection {
    calls: Mutex<Calls>,
    /// Notified when too many responses were not read.
    is_unread: Notify,
}

struct Calls {
    in_progress: usize,
    health_checks: usize,
    unread_responses: usize,
    /// When the connection was opened, or when the last call that counts ended.
    idle_since: Instant,
    /// Whether only calls of authenticated callers count.
    needs_caller: bool,
    is_authenticated: bool,
}

/// A health check in progress, until it is dropped.
pub struct HealthCheck(ConnectionCalls);

/// A response that was not read at its deadline, until it is dropped.
pub struct UnreadResponse(ConnectionCalls);

/// A call in progress, until it is dropped.
struct CallInProgress(ConnectionCalls);

impl ConnectionCalls {
    /// A connection without a call. If `needs_caller`, it is in use only once a caller was authenticated on it.
    pub fn new(needs_caller: bool) -> Self {
        let calls = Calls {
            in_progress: 0,
            health_checks: 0,
            unread_responses: 0,
            idle_since: Instant::now(),
            needs_caller,
            is_authenticated: false,
        };
        Self(Arc::new(Connection { calls: Mutex::new(calls), is_unread: Notify::new() }))
    }

    /// Notes that a caller of the connection was authenticated.
    pub fn authenticated(&self) {
        self.0.calls.lock().is_authenticated = true;
    }

    /// How long there has been no call that counts, and whether there was one of an authenticated caller.
    pub fn idle(&self) -> (Duration, bool) {
        let calls = self.0.calls.lock();
        let in_use = calls.counts() && calls.in_progress > 0;
        (if in_use { Duration::ZERO } else { calls.idle_since.elapsed() }, calls.is_authenticated)
    }

    /// Counts a health check, unless the connection has too many.
    pub fn begin_health_check(&self) -> Result<HealthCheck> {
        let mut calls = self.0.calls.lock();
        if calls.health_checks == MAX_HEALTH_CHECKS {
            let (resource, limit) = (HEALTH_CHECKS, ShareLimit::Connection);
            metrics::counter!("limit.refused", "limit" => resource, "scope" => limit.as_str()).increment(1);
            return Err(Error::Exhausted(Exhausted::Share { resource, limit }));
        }
        calls.health_checks += 1;
        Ok(HealthCheck(self.clone()))
    }

    /// Counts a response that was not read at its deadline.
    pub fn count_unread_response(&self) -> UnreadResponse {
        let mut calls = self.0.calls.lock();
        calls.unread_responses += 1;
        if calls.unread_responses > MAX_UNREAD_RESPONSES {
            self.0.is_unread.notify_one();
        }
        UnreadResponse(self.clone())
    }

    /// Waits until too many responses were not read.
    pub async fn too_many_unread_responses(&self) {
        self.0.is_unread.notified().await;
    }

    fn begin(&self) -> CallInProgress {
        self.0.calls.lock().in_progress += 1;
        CallInProgress(self.clone())
    }
}

impl Calls {
    fn counts(&self) -> bool {
        self.is_authenticated || !self.needs_caller
    }
}

impl Drop for CallInProgress {
    fn drop(&mut self) {
        let mut calls = self.0.0.calls.lock();
        calls.in_progress -= 1;
        if calls.counts() {
            calls.idle_since = Instant::now();
        }
    }
}

impl Drop for UnreadResponse {
    fn drop(&mut self) {
        self.0.0.calls.lock().unread_responses -= 1;
    }
}

impl Drop for HealthCheck {
    fn drop(&mut self) {
        self.0.0.calls.lock().health_checks -= 1;
    }
}

/// Counts a call as long as its response is sent.
pub async fn count_call<F>(request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let Some(call) = request.extensions().get::<ConnectionCalls>().map(ConnectionCalls::begin) else {
        return next(request).await;
    };
    let response = next(request).await;
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _in_progress = &call;
            frame
        }))
    })
}
