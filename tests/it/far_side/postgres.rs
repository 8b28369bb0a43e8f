//! A PostgreSQL server that asks for the password in clear text, and refuses it with an error that contains it.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::{Received, listen};

/// `AuthenticationCleartextPassword`.
const ASK_FOR_PASSWORD: &[u8] = b"R\0\0\0\x08\0\0\0\x03";

/// Serves on a free port, which it returns.
pub async fn serve(config: Arc<ServerConfig>, received: Received) -> u16 {
    let acceptor = TlsAcceptor::from(config);
    listen(move |stream| {
        let (acceptor, received) = (acceptor.clone(), received.clone());
        async move {
            // Connections that the client cuts are part of the tests.
            let _ = refuse(stream, acceptor, received).await;
        }
    })
    .await
}

async fn refuse(mut stream: TcpStream, acceptor: TlsAcceptor, received: Received) -> io::Result<()> {
    // SSLRequest, and the answer that TLS follows.
    let mut request = [0; 8];
    stream.read_exact(&mut request).await?;
    stream.write_all(b"S").await?;
    let mut stream = acceptor.accept(stream).await?;
    let length = stream.read_u32().await?;
    received.add(&read(&mut stream, length).await?);
    stream.write_all(ASK_FOR_PASSWORD).await?;
    stream.flush().await?;
    // The type of the message.
    stream.read_u8().await?;
    let length = stream.read_u32().await?;
    let message = read(&mut stream, length).await?;
    received.add(&message);
    let password = message.strip_suffix(b"\0").unwrap_or(&message);
    let fields = [b"SFATAL\0VFATAL\0C28P01\0Mthe password is not ", password, b"\0D", password, b"\0\0"].concat();
    let size = u32::try_from(fields.len() + 4).expect("a small message");
    stream.write_all(&[b"E", &size.to_be_bytes()[..], &fields].concat()).await?;
    stream.flush().await?;
    Ok(())
}

/// Reads the rest of a message with this length, which counts itself.
async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin), length: u32) -> io::Result<Vec<u8>> {
    let mut message = vec![0; (length as usize).saturating_sub(4)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}
