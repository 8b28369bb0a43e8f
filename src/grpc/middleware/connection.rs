//! What is known about the connection that a call arrives on, for the listener, which closes connections that are idle, and
//! ends responses that were not sent in time.

use std::collections::BTreeMap;
use std::convert::Infallible;
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
/// How much HTTP/2 may keep of responses that a client has not read at their deadlines: the first chunks of twenty, or the last
/// chunks of one.
const MAX_UNREAD_BYTES: usize = 40 * 1024;
/// How long it may keep more. Clients reset calls at their deadlines too.
const MUCH_UNREAD_TIMEOUT: Duration = Duration::from_millis(500);
/// How long calls have to finish after that, on a connection that takes much memory.
const MUCH_UNREAD_GRACE: Duration = Duration::from_secs(1);
/// How long a response may be unread after its deadline.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long other calls of its connection have to finish after that.
const UNREAD_GRACE: Duration = Duration::from_secs(5);
/// The time between two checks whether a connection has other calls.
const UNREAD_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The calls of a connection; an extension of its requests.
#[derive(Clone)]
pub struct ConnectionCalls(Arc<Connection>);

struct Connection {
    calls: Mutex<Calls>,
    /// Notified when a response was not read at its deadline.
    is_unread: Notify,
    unsent: Mutex<Unsent>,
    /// Notified when a response has an earlier deadline than those before.
    is_earlier: Notify,
}

/// Responses that were not sent yet.
#[derive(Default)]
struct Unsent {
    /// By their deadlines, and by numbers, which distinguish those of one deadline.
    responses: BTreeMap<(Instant, u64), Arc<dyn Expire>>,
    last_number: u64,
    /// Until when [`ConnectionCalls::expire_responses`] waits; `None`: until it is notified.
    next_look: Option<Instant>,
}

/// A response that can end before it was sent.
pub trait Expire: Send + Sync {
    /// Ends it, and releases what it holds.
    fn expire(&self);
}

/// A response that is being sent, until it is dropped.
pub struct SendingResponse {
    connection: ConnectionCalls,
    key: (Instant, u64),
}

struct Calls {
    in_progress: usize,
    health_checks: usize,
    /// Responses that were not read at their deadlines: since when, and what HTTP/2 keeps of each, in bytes. By numbers, which
    /// rise.
    unread: BTreeMap<u64, (Instant, usize)>,
    last_unread: u64,
    /// When the connection was opened, or when the last call that counts ended.
    idle_since: Instant,
    /// Whether only calls of authenticated callers count.
    needs_caller: bool,
    is_authenticated: bool,
}

/// A health check in progress, until it is dropped.
pub struct HealthCheck(ConnectionCalls);

/// A response that was not read at its deadline, until it is dropped.
pub struct Unread(ConnectionCalls, u64);

/// A call in progress, until it is dropped.
struct CallInProgress(ConnectionCalls);

impl ConnectionCalls {
    /// A connection without a call. If `needs_caller`, it is in use only once a caller was authenticated on it.
    pub fn new(needs_caller: bool) -> Self {
        let calls = Calls {
            in_progress: 0,
            health_checks: 0,
            unread: BTreeMap::new(),
            last_unread: 0,
            idle_since: Instant::now(),
            needs_caller,
            is_authenticated: false,
        };
        Self(Arc::new(Connection {
            calls: Mutex::new(calls),
            is_unread: Notify::new(),
            unsent: Mutex::default(),
            is_earlier: Notify::new(),
        }))
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

    /// Counts a response that was not read at its deadline, and the bytes that HTTP/2 keeps of it.
    pub fn count_unread(&self, bytes: usize) -> Unread {
        let mut calls = self.0.calls.lock();
        calls.last_unread += 1;
        let number = calls.last_unread;
        calls.unread.insert(number, (Instant::now(), bytes));
        self.0.is_unread.notify_one();
        Unread(self.clone(), number)
    }

    /// How many bytes HTTP/2 keeps of responses that were not read at their deadlines.
    pub fn unread_bytes(&self) -> usize {
        self.0.calls.lock().unread.values().map(|(_, bytes)| bytes).sum()
    }

    /// Waits until too much is unread, or for too long. Returns how long calls have to finish then.
    pub async fn wait_until_unread(&self) -> Duration {
        loop {
            if self.unread_bytes() > MAX_UNREAD_BYTES {
                tokio::time::sleep(MUCH_UNREAD_TIMEOUT).await;
                if self.unread_bytes() > MAX_UNREAD_BYTES {
                    return MUCH_UNREAD_GRACE;
                }
            }
            let more = self.0.is_unread.notified();
            let oldest = self.0.calls.lock().unread.first_key_value().map(|(_, (since, _))| *since);
            match oldest {
                None => more.await,
                Some(since) if since.elapsed() >= UNREAD_TIMEOUT => return UNREAD_GRACE,
                Some(since) => drop(tokio::time::timeout_at(since + UNREAD_TIMEOUT, more).await),
            }
        }
    }

    /// Waits until calls are in progress, and the responses of all of them have been unread for too long.
    pub async fn wait_until_only_unread(&self) {
        let is_only_unread = || {
            let calls = self.0.calls.lock();
            let unread = calls.unread.values().filter(|(since, _)| since.elapsed() >= UNREAD_TIMEOUT).count();
            unread > 0 && unread == calls.in_progress
        };
        while !is_only_unread() {
            tokio::time::sleep(UNREAD_POLL_INTERVAL).await;
        }
    }

    /// Ends a response at its deadline, unless what is returned was dropped before.
    pub fn expire_at(&self, deadline: Instant, response: Arc<dyn Expire>) -> SendingResponse {
        let (key, is_earlier) = {
            let mut unsent = self.0.unsent.lock();
            unsent.last_number += 1;
            let key = (deadline, unsent.last_number);
            unsent.responses.insert(key, response);
            let is_earlier = unsent.next_look.is_none_or(|next| deadline < next);
            if is_earlier {
                unsent.next_look = Some(deadline);
            }
            (key, is_earlier)
        };
        if is_earlier {
            self.0.is_earlier.notify_one();
        }
        SendingResponse { connection: self.clone(), key }
    }

    /// Ends responses at their deadlines. Does not return.
    pub async fn expire_responses(&self) -> Infallible {
        loop {
            let (expired, next) = self.0.unsent.lock().expired(Instant::now());
            for response in expired {
                response.expire();
            }
            let earlier = self.0.is_earlier.notified();
            match next {
                None => earlier.await,
                Some(next) => drop(tokio::time::timeout_at(next, earlier).await),
            }
        }
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

impl Unsent {
    /// Removes the responses whose deadlines are over. Also returns the next deadline.
    fn expired(&mut self, now: Instant) -> (Vec<Arc<dyn Expire>>, Option<Instant>) {
        let later = self.responses.split_off(&(now, u64::MAX));
        let expired = std::mem::replace(&mut self.responses, later);
        self.next_look = self.responses.first_key_value().map(|((deadline, _), _)| *deadline);
        (expired.into_values().collect(), self.next_look)
    }
}

impl Drop for SendingResponse {
    fn drop(&mut self) {
        self.connection.0.unsent.lock().responses.remove(&self.key);
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

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.0.calls.lock().unread.remove(&self.1);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Response(AtomicBool);

    impl Expire for Response {
        fn expire(&self) {
            assert!(!self.0.swap(true, Ordering::Relaxed), "it ends once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn responses_end_at_their_deadlines_in_any_order() {
        let connection = ConnectionCalls::new(false);
        let expiring = connection.clone();
        tokio::spawn(async move { expiring.expire_responses().await });
        let start = Instant::now();
        let responses: [Arc<Response>; 4] = Default::default();
        let expire = |seconds: u64, response: usize| {
            connection
                .expire_at(start + Duration::from_secs(seconds), Arc::clone(&responses[response]) as Arc<dyn Expire>)
        };
        let ended = async |seconds: u64| {
            tokio::time::sleep_until(start + Duration::from_secs(seconds) + Duration::from_millis(10)).await;
            responses.each_ref().map(|response| response.0.load(Ordering::Relaxed))
        };
        let _late = expire(30, 0);
        assert_eq!(ended(1).await, [false; 4]);
        // Earlier than the one before, and at the same time as another one.
        let _early = [expire(5, 1), expire(5, 2)];
        drop(expire(4, 3));
        assert_eq!(ended(4).await, [false; 4]);
        assert_eq!(ended(5).await, [false, true, true, false]);
        assert_eq!(ended(30).await, [true, true, true, false]);
        assert!(connection.0.unsent.lock().responses.is_empty());
    }
}
