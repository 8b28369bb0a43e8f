//! Sends responses: what a call has acquired is held until the last byte of its response was sent, and released at the
//! deadline if the client does not read it.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;

use super::connection::{ConnectionCalls, Expire, SendingResponse, Unread};
use crate::grpc::status;
use crate::model::{Error, Result};

/// The size of each of the first two chunks of a response, which HTTP/2 takes and keeps if the window of the client is closed. The
/// rest can still be dropped at the deadline. They are so short that HTTP/2 writes the first together with the headers.
const FIRST_CHUNKS_BYTES: usize = 1_023;
/// The size of the other chunks: the longest frames that every client accepts. HTTP/2 takes a chunk when the window is open for
/// a byte of the one before it.
const CHUNK_BYTES: usize = 16 * 1_024;

/// A body that holds what its call has acquired.
struct HoldingBody {
    sending: Arc<Mutex<Sending>>,
    /// Ends it at its deadline.
    _expiring: SendingResponse,
}

struct Sending {
    /// What was not sent yet, and what is held for it; `None` after the end or the deadline.
    rest: Option<(Rest, Arc<dyn Any + Send + Sync>)>,
    is_expired: bool,
    /// Counts a response that has expired.
    unread: Option<Unread>,
    connection: ConnectionCalls,
    waker: Option<Waker>,
}

/// The rest of a body.
struct Rest {
    /// What was read from the body already.
    data: Bytes,
    body: Body,
    /// The sizes of the last two chunks, which HTTP/2 keeps until the client accepts them.
    last_chunks: [usize; 2],
}

/// Encodes the message of a unary response, so that only its bytes are kept until they were sent. Also returns their
/// number.
pub async fn encode(response: Response) -> Result<(Response, u64)> {
    let (parts, body) = response.into_parts();
    // A response without a body has its status in the headers, which must be the end of the stream.
    if body.is_end_stream() {
        return Ok((Response::from_parts(parts, body), 0));
    }
    let encoded = body.collect().await.map_err(Error::internal)?;
    let trailers = encoded.trailers().cloned().map(Ok);
    let data = encoded.to_bytes();
    let length = data.len() as u64;
    let body = Full::new(data).with_trailers(std::future::ready(trailers));
    Ok((Response::from_parts(parts, Body::new(body)), length))
}

/// Holds `held` until the response was sent, at the longest until the deadline, when the response ends with
/// DEADLINE_EXCEEDED and `connection` counts it.
pub fn hold_until_sent(
    response: Response,
    held: Arc<dyn Any + Send + Sync>,
    deadline: Instant,
    connection: Option<ConnectionCalls>,
) -> Response {
    // A response without a body is sent with its headers. HTTP/1, of which there are health checks only, has no connection.
    let Some(connection) = connection.filter(|_| !response.body().is_end_stream()) else { return response };
    response.map(|body| {
        let rest = Some((Rest { data: Bytes::new(), body, last_chunks: [0; 2] }, held));
        let sending = Sending { rest, is_expired: false, unread: None, connection: connection.clone(), waker: None };
        let sending = Arc::new(Mutex::new(sending));
        let expiring = connection.expire_at(deadline.into(), Arc::clone(&sending) as Arc<dyn Expire>);
        Body::new(HoldingBody { sending, _expiring: expiring })
    })
}

impl HttpBody for HoldingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut sending = self.sending.lock();
        if std::mem::take(&mut sending.is_expired) {
            return Poll::Ready(Some(status::trailers(Error::DeadlineExceeded)));
        }
        let Some((rest, _)) = &mut sending.rest else { return Poll::Ready(None) };
        let frame = rest.poll(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) if !frame.is_trailers() => {}
            Poll::Ready(_) => sending.rest = None,
            Poll::Pending => sending.waker = Some(context.waker().clone()),
        }
        frame
    }
}

impl Drop for HoldingBody {
    fn drop(&mut self) {
        let mut sending = self.sending.lock();
        (sending.rest, sending.unread) = (None, None);
    }
}

impl Expire for Mutex<Sending> {
    fn expire(&self) {
        let (rest, waker) = {
            let mut sending = self.lock();
            let rest = sending.rest.take();
            sending.is_expired = rest.is_some();
            sending.unread =
                rest.as_ref().map(|(rest, _)| sending.connection.count_unread(rest.last_chunks.iter().sum()));
            (rest, sending.waker.take())
        };
        drop(rest);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Rest {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.data.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.data = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let most = if self.last_chunks[0] == 0 { FIRST_CHUNKS_BYTES } else { CHUNK_BYTES };
        let chunk = self.data.split_to(self.data.len().min(most));
        self.last_chunks = [self.last_chunks[1], chunk.len()];
        // A copy: a part of the bytes would keep all of them in memory, and the buffer that they were encoded in.
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&chunk)))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn little_is_given_to_http2_before_the_client_accepts_data() {
        let content: Vec<u8> = (0..40_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let connection = ConnectionCalls::new(false);
        let deadline = (tokio::time::Instant::now() + Duration::from_secs(1)).into_std();
        let hold = || {
            let response = Response::new(Body::from(content.clone()));
            hold_until_sent(response, Arc::new(()), deadline, Some(connection.clone())).into_body()
        };
        let mut body = hold();
        let (mut lengths, mut received) = (Vec::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let data = frame.expect("a frame").into_data().expect("data");
            lengths.push(data.len());
            received.extend_from_slice(&data);
        }
        assert_eq!(lengths, [1_023, 1_023, 16_384, 16_384, 5_186]);
        assert_eq!(received, content);

        // HTTP/2 takes two chunks of a response that is not read at all.
        let mut unread = hold();
        for _ in 0..2 {
            unread.frame().await.expect("a chunk").expect("a frame");
        }
        tokio::select! {
            never = connection.expire_responses() => match never {},
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
        assert_eq!(connection.unread_bytes(), 2_046);
        assert!(unread.frame().await.expect("the status").expect("a frame").is_trailers());
        assert!(unread.frame().await.is_none());
        drop(unread);
        assert_eq!(connection.unread_bytes(), 0);
    }
}
