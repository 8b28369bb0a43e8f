//! Connections of the dialer for sqlx, which opens its sockets itself.

use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

/// Maximum size of a message of a server, without its type. sqlx allocates what a message announces.
const MAX_MESSAGE_BYTES: u32 = 1 << 20;
/// Bytes that are forwarded at once.
const BUFFER_BYTES: usize = 16 * 1024;
/// Bytes of the type and the length of a message.
const HEADER_BYTES: usize = 5;

/// A Unix socket that leads to an open connection, for one client. The connection ends when this is dropped.
pub struct Relay {
    // Fields are dropped in order: the listener ends before its directory is removed.
    task: AbortOnDropHandle<io::Result<()>>,
    directory: TempDir,
}

impl Relay {
    /// Forwards a connection to a server that the operator trusts, and that may be encrypted by the client.
    pub fn to_trusted(mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, port: u16) -> io::Result<Self> {
        Self::new(port, async move |mut client: UnixStream| {
            tokio::io::copy_bidirectional(&mut client, &mut stream).await.map(drop)
        })
    }

    /// Forwards a connection to a server that is not trusted, in plain text. It ends if the server sends a message of more
    /// than 1 MiB.
    pub fn to_untrusted(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, port: u16) -> io::Result<Self> {
        Self::new(port, async move |client: UnixStream| {
            let (mut from_server, mut to_server) = tokio::io::split(stream);
            let (mut from_client, mut to_client) = client.into_split();
            let requests = async {
                tokio::io::copy(&mut from_client, &mut to_server).await?;
                to_server.shutdown().await
            };
            let responses = async {
                copy_messages(&mut from_server, &mut to_client).await?;
                to_client.shutdown().await
            };
            tokio::try_join!(requests, responses).map(drop)
        })
    }

    /// Listens in a new directory of mode 0700 for one connection. `port` is part of the name of the socket.
    fn new<F>(port: u16, forward: impl FnOnce(UnixStream) -> F + Send + 'static) -> io::Result<Self>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let directory = tempfile::Builder::new().prefix("outflow-").tempdir()?;
        let listener = UnixListener::bind(directory.path().join(format!(".s.PGSQL.{port}")))?;
        let task = tokio::spawn(async move {
            let (client, _) = listener.accept().await?;
            drop(listener);
            forward(client).await
        });
        Ok(Self { task: AbortOnDropHandle::new(task), directory })
    }

    /// The directory of the socket, for the option `socket` of sqlx.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until the client has closed its connection and its last bytes were forwarded, within a time limit.
    pub async fn close<T>(mut self, client: impl Future<Output = T>, timeout: Duration) {
        let close = async {
            client.await;
            let _ = self.closed().await;
        };
        let _ = tokio::time::timeout(timeout, close).await;
    }

    /// Waits until either side has closed the connection, and returns the error that ended it.
    pub async fn closed(&mut self) -> io::Result<()> {
        (&mut self.task).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Copies messages of PostgreSQL: a type of one byte, and a length of four that counts itself.
async fn copy_messages(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut header, mut body_left) = (Vec::with_capacity(HEADER_BYTES), 0);
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let body = rest.len().min(body_left);
            (rest, body_left) = (&rest[body..], body_left - body);
            let part = rest.len().min(HEADER_BYTES - header.len());
            header.extend_from_slice(&rest[..part]);
            rest = &rest[part..];
            if let [_, length @ ..] = header.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                let length = u32::from_be_bytes(length);
                if length > MAX_MESSAGE_BYTES {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the server sent a message of more than 1 MiB",
                    ));
                }
                body_left = (length as usize).saturating_sub(HEADER_BYTES - 1);
                header.clear();
            }
        }
        to.write_all(&buffer[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32, body: usize) -> Vec<u8> {
        [&[b'D'][..], &length.to_be_bytes(), &vec![7; body]].concat()
    }

    /// What arrives of bytes that are read in pieces of that size.
    async fn copied(bytes: &[u8], piece: usize) -> (io::Result<()>, Vec<u8>) {
        let (mut writer, mut reader) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        let write = tokio::spawn(async move { writer.write_all(&bytes).await });
        let mut found = Vec::new();
        let result = copy_messages(&mut reader, &mut found).await;
        drop(reader);
        let _ = write.await;
        (result, found)
    }

    #[tokio::test]
    async fn messages_are_copied_whole_and_large_ones_end_the_connection() {
        let good = [message(4, 0), message(9, 5), message(100_004, 100_000), message(4, 0)].concat();
        for piece in [1, 3, 5, 64, 20_000] {
            let (result, found) = copied(&good, piece).await;
            assert!(result.is_ok() && found == good, "{piece}");
            let bad = [good.clone(), message(u32::MAX, 10)].concat();
            let (result, found) = copied(&bad, piece).await;
            assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::InvalidData), "{piece}");
            assert!(good.starts_with(&found[..found.len().min(good.len())]) && found.len() < bad.len(), "{piece}");
        }
    }
}
