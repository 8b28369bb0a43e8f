//! Work that goes on when its call is cancelled.
//!
//! When a client cancels a call, the call's future is dropped at any await. If a statement or a transaction were part of
//! that future, its connection could return to the pool with an unread response or an open transaction (sqlx #4385,
//! #4409).

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A future that a task of its own completes if it is dropped before it has ended.
pub struct Uninterrupted<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Uninterrupted<T> {
    /// `tasks` waits for the future, too.
    pub fn new(tasks: &TaskTracker, future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(tasks.track_future(future))))
    }
}

impl<T: Send + 'static> Future for Uninterrupted<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // A future that panics is not polled again.
        let Some(mut future) = self.0.take() else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(future);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Uninterrupted<T> {
    fn drop(&mut self) {
        // Without a runtime, the process ends.
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(future);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_dropped_future_is_completed() {
        let tasks = TaskTracker::new();
        let (begin, has_begun) = oneshot::channel::<()>();
        let (end, has_ended) = oneshot::channel::<()>();
        let work = async move {
            has_begun.await.unwrap();
            end.send(()).unwrap();
        };
        let mut work = Uninterrupted::new(&tasks, work);
        assert!(poll!(&mut work).is_pending());
        drop(work);
        assert_eq!(tasks.len(), 1, "the tracker waits for it");
        begin.send(()).unwrap();
        has_ended.await.unwrap();
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_future_that_has_ended_or_panicked_is_not_polled_again() {
        let tasks = TaskTracker::new();
        assert_eq!(Uninterrupted::new(&tasks, async { 1 }).await, 1);
        let panics = tokio::spawn(Uninterrupted::new(&tasks, async { panic!("once") })).await;
        assert!(panics.is_err_and(|error| error.is_panic()));
        assert!(tasks.is_empty());
    }
}
