//! Streams: how many may be open, and what interrupts them.

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::fair_share::{FairShare, Limits};
use crate::model::{Actor, Error, OpContext, Unavailable};

/// Maximum number of open streams of a principal.
const MAX_STREAMS_PER_PRINCIPAL: u64 = 20;

/// The permits of open streams. An organization may have a quarter of them, always: a stream can be open for hours.
pub fn permits(total: u64) -> FairShare {
    let organization = total.div_ceil(4);
    let (principal, unshared) = (MAX_STREAMS_PER_PRINCIPAL, 0);
    FairShare::with_limits("streams", Limits { total, organization, principal, unshared, unshared_in_organization: 0 })
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
