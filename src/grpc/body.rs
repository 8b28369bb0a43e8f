//! The bodies of streams: told on the log when they end, or ended when the server stops.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::access::Access;
use crate::model::{Error, Unavailable};

type Polled = Poll<Option<Result<Frame<tonic::codegen::Bytes>, Status>>>;

/// The messages of a stream; its call is told on the log when the last is gone, or the client.
pub struct Told {
    inner: Body,
    access: Access,
}

/// The messages of somebody else's stream, which knows of no end; when the server stops, it ends.
pub struct UntilStopped {
    /// `None` once it has ended.
    inner: Option<Body>,
    stop: BoxFuture<'static, ()>,
}

impl Told {
    /// A stream that has begun.
    pub fn new(inner: Body, access: Access) -> Self {
        Self { inner, access }
    }
}

impl UntilStopped {
    /// A stream that ends with `stop`.
    pub fn new(inner: Body, stop: BoxFuture<'static, ()>) -> Self {
        Self { inner: Some(inner), stop }
    }
}

impl http_body::Body for Told {
    type Data = tonic::codegen::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.access.code = code(trailers);
                }
            }
            Some(Err(status)) => self.access.code = status.code(),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl http_body::Body for UntilStopped {
    type Data = tonic::codegen::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        // What it has to say comes first: that the server is not ready, for one.
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(this.stop.as_mut().poll(context));
        this.inner = None;
        let mut trailers = HeaderMap::new();
        Status::from(Error::Unavailable(Unavailable::Draining)).add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }
}

fn code(trailers: &HeaderMap) -> Code {
    Status::from_header_map(trailers).map_or(Code::Unknown, |status| status.code())
}
