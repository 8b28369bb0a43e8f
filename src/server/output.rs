//! What an HTTP/2 connection writes. Frames that are made at one poll of the connection are written with one system call,
//! instead of one or two for each response.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncWrite, BufWriter};

use super::error::BoxError;

/// The size of the buffer: a full frame, and what is sent with it.
const BUFFER_BYTES: usize = 32 * 1024;

/// The writer of a connection, which has no vectored writes: HTTP/2 then copies short data to its headers. Its clones share the
/// buffer.
pub struct Output<W>(Arc<Mutex<BufWriter<W>>>);

impl<W: AsyncWrite + Unpin> Output<W> {
    /// Buffers what is written to `writer`.
    pub fn new(writer: W) -> Self {
        Self(Arc::new(Mutex::new(BufWriter::with_capacity(BUFFER_BYTES, writer))))
    }

    /// Waits for the end of a connection that writes here. After each poll of it, what is in the buffer is written.
    pub async fn serve<T, E: Into<BoxError>>(
        &self,
        mut connection: Pin<&mut impl Future<Output = Result<T, E>>>,
    ) -> Result<T, BoxError> {
        poll_fn(|context| {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(ended.map_err(Into::into));
            }
            match Pin::new(&mut *self.0.lock()).poll_flush(context) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                // Pending: the task is woken when the client accepts more.
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

impl<W> Clone for Output<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Output<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write(context, bytes)
    }

    /// Leaves it to [`Output::serve`], whose poll has not ended.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Counts the writes.
    #[derive(Default)]
    struct Counting {
        writes: Vec<usize>,
    }

    impl AsyncWrite for Counting {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.writes.push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_is_written_at_one_poll_is_one_write() {
        let output = Output::new(Counting::default());
        let mut writer = output.clone();
        let connection = async move {
            for _ in 0..2 {
                for _ in 0..3 {
                    writer.write_all(&[0; 100]).await?;
                    writer.flush().await?;
                }
                tokio::task::yield_now().await;
            }
            writer.write_all(&[0; 7]).await?;
            writer.shutdown().await
        };
        output.serve(pin!(connection)).await.unwrap();
        assert_eq!(output.0.lock().get_ref().writes, [300, 300, 7]);
    }

    #[tokio::test]
    async fn a_client_that_reads_late_gets_everything() {
        let (client, server) = tokio::io::duplex(64);
        let output = Output::new(server);
        let mut writer = output.clone();
        let connection = async move {
            writer.write_all(&vec![1; 2 * BUFFER_BYTES]).await?;
            writer.write_all(&[2; 10]).await?;
            writer.shutdown().await
        };
        let read = async {
            let mut bytes = Vec::new();
            pin!(client).read_to_end(&mut bytes).await.unwrap();
            bytes
        };
        let mut connection = pin!(connection);
        let (ended, bytes) = tokio::join!(output.serve(connection.as_mut()), read);
        ended.unwrap();
        assert_eq!((bytes.len(), &bytes[2 * BUFFER_BYTES..]), (2 * BUFFER_BYTES + 10, [2; 10].as_slice()));
    }

    #[tokio::test]
    async fn a_connection_ends_when_its_client_is_gone() {
        let (client, server) = tokio::io::duplex(64);
        drop(client);
        let output = Output::new(server);
        let mut writer = output.clone();
        let connection = async move {
            writer.write_all(&[1; 100]).await?;
            std::future::pending::<io::Result<()>>().await
        };
        assert!(output.serve(pin!(connection)).await.is_err());
    }
}
