//! How many streams there may be, and when they end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::App;
use crate::model::{Call, Error, Exhausted, Result, Unavailable};

/// Streams of one principal.
pub const STREAMS_PER_PRINCIPAL: usize = 20;
/// Streams of all principals together.
pub const STREAMS: usize = 1_000;

/// Counts the streams that are open.
#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<String, usize>>>);

/// A place among the streams; given back when dropped.
pub struct StreamPlace {
    streams: Streams,
    principal: String,
}

impl Streams {
    /// Takes a place, or refuses: with `RATE_LIMITED` one principal's streams, with `OVERLOADED` those of all.
    pub fn enter(&self, call: &Call) -> Result<StreamPlace> {
        // Two organizations' principals are two, though their names be equal.
        let principal = format!("{}/{}", call.caller.organization, call.caller.principal);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&principal).copied().unwrap_or(0);
        if own >= STREAMS_PER_PRINCIPAL {
            return Err(Error::Exhausted(Exhausted::RateLimited));
        }
        if open.values().sum::<usize>() >= STREAMS {
            return Err(Error::Exhausted(Exhausted::Overloaded));
        }
        open.insert(principal.clone(), own + 1);
        Ok(StreamPlace { streams: self.clone(), principal })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.principal);
            }
        }
    }
}

impl App {
    /// Waits for whatever ends a stream of this call before its own end, and says what it was: the server's shutdown,
    /// the caller's deadline, or the end of the caller's identity.
    pub(super) async fn ending(&self, call: &Call) -> Error {
        let identity_left = (call.identity_expires - self.now()).to_std().unwrap_or_default();
        tokio::select! {
            () = self.0.stop.cancelled() => Error::Unavailable(Unavailable::Draining),
            () = tokio::time::sleep_until(call.deadline.into()) => Error::DeadlineExceeded,
            () = tokio::time::sleep(identity_left) => Error::Unauthenticated,
        }
    }
}
