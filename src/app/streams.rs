//! Streams: how many may be open, and what interrupts them.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::model::{Actor, Error, Exhausted, OpContext, Result, Unavailable};

/// Maximum number of open streams of a principal.
pub const MAX_STREAMS_PER_PRINCIPAL: usize = 20;
/// Maximum number of open streams of the server.
pub const MAX_STREAMS: usize = 1_000;

/// Counts the open streams.
#[derive(Clone, Default)]
pub struct StreamPermits(Arc<Mutex<HashMap<String, usize>>>);

/// The permit of an open stream; released when dropped.
pub struct StreamPermit {
    permits: StreamPermits,
    principal: String,
}

impl StreamPermits {
    /// Acquires a permit. Fails with `RATE_LIMITED` at the limit of the principal, with `OVERLOADED` at the limit of
    /// the server.
    pub fn acquire(&self, context: &OpContext) -> Result<StreamPermit> {
        // The key includes the organization: principals of two organizations may have equal names.
        let principal = format!("{}/{}", context.organization, context.actor.principal());
        let mut open = self.0.lock();
        let own = open.get(&principal).copied().unwrap_or(0);
        if own >= MAX_STREAMS_PER_PRINCIPAL {
            return Err(Error::Exhausted(Exhausted::TooManyStreams));
        }
        if open.values().sum::<usize>() >= MAX_STREAMS {
            return Err(Error::Exhausted(Exhausted::Overloaded));
        }
        open.insert(principal.clone(), own + 1);
        Ok(StreamPermit { permits: self.clone(), principal })
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.0.lock().values().sum()
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut open = self.permits.0.lock();
        if let Some(own) = open.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.principal);
            }
        }
    }
}

/// Waits for what interrupts a stream: the shutdown, the caller's deadline, or the expiry of the caller's token.
pub async fn interrupted(context: OpContext, now: DateTime<Utc>, stop: CancellationToken) -> Error {
    let expired = async {
        match &context.actor {
            Actor::Caller(caller) => tokio::time::sleep((caller.expire_time - now).to_std().unwrap_or_default()).await,
            Actor::System(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop.cancelled() => Error::Unavailable(Unavailable::Draining),
        () = tokio::time::sleep_until(context.deadline.into()) => Error::DeadlineExceeded,
        () = expired => Error::Unauthenticated,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::OrganizationId;

    fn context(organization: &str, name: &'static str) -> OpContext {
        OpContext::system(name, OrganizationId::parse(organization).unwrap(), Instant::now())
    }

    #[test]
    fn a_principal_and_the_server_have_limits() {
        let permits = StreamPermits::default();
        let mut open = Vec::new();
        for number in 0..MAX_STREAMS / MAX_STREAMS_PER_PRINCIPAL {
            let context = context(&format!("org-{number}"), "watcher");
            for _ in 0..MAX_STREAMS_PER_PRINCIPAL {
                open.push(permits.acquire(&context).unwrap_or_else(|error| panic!("{error:?}")));
            }
            let refused = permits.acquire(&context).err();
            assert!(matches!(refused, Some(Error::Exhausted(Exhausted::TooManyStreams))), "{refused:?}");
        }
        // The same principal of another organization is another one.
        let other = context("other", "watcher");
        assert!(matches!(permits.acquire(&other), Err(Error::Exhausted(Exhausted::Overloaded))));
        open.truncate(MAX_STREAMS - 1);
        assert_eq!(permits.open(), MAX_STREAMS - 1);
        assert!(permits.acquire(&other).is_ok());
        drop(open);
        assert_eq!(permits.open(), 0);
    }
}
