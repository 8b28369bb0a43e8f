//! Receives the message of a call before its handler is called, within limits of time and memory.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use bytes::Buf as _;
use flate2::read::GzDecoder;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt as _;

use crate::fair_share::{FairShare, Share};
use crate::model::{Caller, Error, Invalid, Result};

/// How long a message may take to arrive.
pub const RECEIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// Messages up to this length are not counted while they arrive, because the number of calls is limited too.
const UNCOUNTED_BYTES: usize = 4 * 1024;
/// How long a message waits until its length may be received.
const MAX_WAIT: Duration = Duration::from_secs(3);
/// How much is decompressed at once, in less than a millisecond.
const DECOMPRESSED_CHUNK_BYTES: usize = 32 * 1024;
/// The largest window of a Zstandard frame, which is allocated at once: 8 MiB, which RFC 8878 recommends to accept.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// How much of a request is read that was refused, and for how long.
const MAX_DISCARDED_BYTES: usize = 16 * 1024;
const MAX_DISCARD_DURATION: Duration = Duration::from_secs(1);

/// A body of which the rest is read, and not kept, once it is dropped.
struct DiscardOnDrop(Option<Body>);

/// What counts the bytes that arrive for a caller.
pub struct Budget<'a> {
    /// Bytes of all callers.
    pub bytes: &'a FairShare,
    /// The caller whose share the message takes.
    pub caller: &'a Arc<Caller>,
}

/// Returns a body of which the rest is read if the call is refused before. Otherwise HTTP/2 would reset the stream, and count
/// it for longer than a client whose request is complete, which could then open one too many.
pub fn discard_on_drop(body: Body) -> Body {
    if body.is_end_stream() { body } else { Body::new(DiscardOnDrop(Some(body))) }
}

async fn discard(mut body: Body) {
    let mut bytes = 0;
    while bytes < MAX_DISCARDED_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// Receives a body with one message of at most `max_bytes`, and returns it with its prefix. Its length is counted in `budget`,
/// if there is one, before the rest of it is received.
pub async fn receive(
    body: Body,
    max_bytes: usize,
    deadline: Instant,
    budget: Option<Budget<'_>>,
) -> Result<(Bytes, Option<Share>)> {
    let timeout = Instant::now() + RECEIVE_TIMEOUT;
    match tokio::time::timeout_at(timeout.min(deadline).into(), collect(body, max_bytes, budget)).await {
        Ok(message) => message,
        Err(_) if deadline < timeout => Err(Error::DeadlineExceeded),
        Err(_) => Err(Error::RequestTimeout),
    }
}

/// Copies what arrives: frames may be as small as a byte, and each would keep a buffer.
async fn collect(mut body: Body, max_bytes: usize, budget: Option<Budget<'_>>) -> Result<(Bytes, Option<Share>)> {
    let (mut message, mut share) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        // The client has reset the stream or closed the connection; the response is not read.
        let frame = frame.map_err(|_| undecodable("the request ended before its message was complete"))?;
        let Ok(bytes) = frame.into_data() else { continue };
        let length = message.len() + bytes.len();
        if length > max_bytes + PREFIX_BYTES {
            return Err(too_large(max_bytes));
        }
        if length > message.capacity() {
            let most = declared_length(&message).unwrap_or(length);
            message.reserve_exact((2 * message.capacity()).min(most).max(length) - message.len());
        }
        message.extend_from_slice(&bytes);
        let Some(declared) = declared_length(&message) else { continue };
        if declared > max_bytes + PREFIX_BYTES {
            return Err(too_large(max_bytes));
        }
        if message.len() > declared {
            return Err(undecodable("a request must have one message"));
        }
        if let (Some(budget), None) = (&budget, &share)
            && declared > UNCOUNTED_BYTES
        {
            share = Some(budget.bytes.acquire(Some(budget.caller), declared as u64, MAX_WAIT).await?);
        }
    }
    Ok((message.into(), share))
}

/// The length that the prefix declares, with the prefix.
fn declared_length(message: &[u8]) -> Option<usize> {
    let length = message.get(1..PREFIX_BYTES)?.try_into().ok().map(u32::from_be_bytes)?;
    Some((length as usize).saturating_add(PREFIX_BYTES))
}

/// The length of a message, with its prefix, once it is decompressed. Nothing is kept of it yet.
pub async fn decompressed_length(message: &Bytes, headers: &HeaderMap, max_bytes: usize) -> Result<usize> {
    let Some(mut decoder) = decoder(message, headers)? else { return Ok(message.len()) };
    let mut chunk = vec![0; DECOMPRESSED_CHUNK_BYTES];
    let mut length = PREFIX_BYTES;
    loop {
        let read = decoder.read(&mut chunk).map_err(|error| not_decompressed(&error))?;
        length += read;
        if length > max_bytes + PREFIX_BYTES {
            return Err(too_large(max_bytes));
        }
        if read == 0 {
            return Ok(length);
        }
        tokio::task::yield_now().await;
    }
}

/// Decompresses a message, as the headers of its request say, to a length that is known. One that is not compressed, or in an
/// unknown way, is returned as it is.
pub async fn decompress(message: Bytes, headers: &HeaderMap, length: usize) -> Result<Bytes> {
    let Some(mut decoder) = decoder(&message, headers)? else { return Ok(message) };
    let mut decompressed = vec![0; length];
    let declared = u32::try_from(length - PREFIX_BYTES).map_err(Error::internal)?;
    decompressed[1..PREFIX_BYTES].copy_from_slice(&declared.to_be_bytes());
    for chunk in decompressed[PREFIX_BYTES..].chunks_mut(DECOMPRESSED_CHUNK_BYTES) {
        decoder.read_exact(chunk).map_err(|error| not_decompressed(&error))?;
        tokio::task::yield_now().await;
    }
    Ok(decompressed.into())
}

/// What decompresses a message; `None` if it is not compressed, or in an unknown way.
fn decoder(message: &Bytes, headers: &HeaderMap) -> Result<Option<Box<dyn Read + Send>>> {
    if message.first() != Some(&1) || message.len() < PREFIX_BYTES {
        return Ok(None);
    }
    let compressed = message.slice(PREFIX_BYTES..).reader();
    Ok(match headers.get("grpc-encoding").map(http::HeaderValue::as_bytes) {
        Some(b"gzip") => Some(Box::new(GzDecoder::new(compressed))),
        Some(b"zstd") => {
            let mut decoder = zstd::stream::read::Decoder::new(compressed).map_err(Error::internal)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(Error::internal)?;
            Some(Box::new(decoder))
        }
        _ => None,
    })
}

impl HttpBody for DiscardOnDrop {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

impl Drop for DiscardOnDrop {
    fn drop(&mut self) {
        if let (Some(body), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
            && !body.is_end_stream()
        {
            runtime.spawn(tokio::time::timeout(MAX_DISCARD_DURATION, discard(body)));
        }
    }
}

fn not_decompressed(error: &std::io::Error) -> Error {
    undecodable(format!("decompressing failed: {error}"))
}

fn too_large(max_bytes: usize) -> Error {
    undecodable(format!("the message must have at most {max_bytes} bytes"))
}

fn undecodable(description: impl AsRef<str>) -> Error {
    Error::invalid_as(Invalid::Undecodable, "", description)
}
