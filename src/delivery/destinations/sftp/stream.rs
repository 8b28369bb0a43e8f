//! The stream of an SSH channel, whose writes fail when the session ends.
//!
//! A write of the channel in russh 0.65 waits for the server to accept more data, also after the session has ended: the task
//! that writes, and the data that it holds, would stay for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A stream that ends with a session.
pub struct SessionStream<S> {
    inner: S,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> SessionStream<S> {
    /// A stream whose writes fail once `ended` is cancelled.
    pub fn new(inner: S, ended: &CancellationToken) -> Self {
        Self { inner, ended: Box::pin(ended.clone().cancelled_owned()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SessionStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SessionStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.ended.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_write_that_waits_fails_when_the_session_ends() {
        let (near, _far) = tokio::io::duplex(1);
        let ended = CancellationToken::new();
        let mut stream = SessionStream::new(near, &ended);
        let write = tokio::spawn(async move {
            let first = stream.write_all(b"more than fits").await.unwrap_err();
            let second = stream.write_all(b"more").await.unwrap_err();
            [first.kind(), second.kind()]
        });
        tokio::task::yield_now().await;
        ended.cancel();
        assert_eq!(write.await.unwrap(), [io::ErrorKind::BrokenPipe; 2]);
    }
}
