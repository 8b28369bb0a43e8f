//! Sends responses: what a call has acquired is held until the last byte of its response was sent, and released at the
//! deadline if the client does not read it.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;

use super::connection::{ConnectionCalls, Expire, SendingResponse, UnreadResponse};
use crate::grpc::status;
use crate::model::{Error, Result};

/// The first part of a response, which HTTP/2 takes and keeps until the client accepts data. The rest can still be dropped at
/// the deadline. It is so short that HTTP/2 writes it together with the headers.
const FIRST_CHUNK_BYTES: usize = 1_023;
/// The other parts, which HTTP/2 takes when the client accepts data: the longest frames that every client accepts.
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
    unread: Option<UnreadResponse>,
    connection: ConnectionCalls,
    waker: Option<Waker>,
}

/// The rest of a body.
struct Rest {
    /// What was read from the body already.
    data: Bytes,
    body: Body,
    /// Whether a part of the body was given to HTTP/2.
    is_begun: bool,
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
        let rest = Some((Rest { data: Bytes::new(), body, is_begun: false }, held));
        let sending = Sending { rest, is_expired: false, unread: None, connection: connection.clone(), waker: None };
        let sending = Arc::new(Mutex::new(sending));
        // HTTP/2 polls a body for a first part, and for more only while its client accepts data.
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
            sending.is_expired = sending.rest.is_some();
            if sending.is_expired {
                sending.unread = Some(sending.connection.count_unread_response());
            }
            (sending.rest.take(), sending.waker.take())
        };
        drop(rest);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Rest {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let most = if self.is_begun { CHUNK_BYTES } else { FIRST_CHUNK_BYTES };
        if self.data.is_empty() {
            let frame = Pin::new(&mut self.body).poll_frame(context);
            let is_long = |frame: &Frame<Bytes>| frame.data_ref().is_some_and(|data| data.len() > most);
            if !matches!(&frame, Poll::Ready(Some(Ok(frame))) if is_long(frame)) {
                return frame;
            }
            if let Poll::Ready(Some(Ok(frame))) = frame {
                self.data = frame.into_data().unwrap_or_default();
            }
        }
        let chunk = self.data.split_to(self.data.len().min(most));
        self.is_begun = true;
        // A copy: a part of the bytes would keep all of them in memory.
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&chunk)))))
    }
}
