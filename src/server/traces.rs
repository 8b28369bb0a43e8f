//! Traces of calls: a span for each, in the trace of its caller.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::{Code, Status};
use tower::Service;
use tracing::{Instrument as _, Span};

use crate::grpc::middleware::Middleware;
use crate::grpc::status::code_name;
use crate::telemetry::{rpc_span, trace_context_of};

/// Traces calls.
pub struct Traces;

impl Middleware for Traces {
    async fn handle<S>(&self, mut request: Request<Body>, mut inner: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>, Future: Send, Error: Send> + Send,
    {
        let span = rpc_span(request.uri().path(), request.headers());
        // A call without a trace of its caller starts one; the access log names it too.
        trace_context_of(&span, request.headers_mut());
        let response = inner.call(request).instrument(span.clone()).await?;
        let code = Status::from_header_map(response.headers()).map(|status| status.code());
        if let Some(code) = code {
            record_code(&span, code);
        }
        Ok(response.map(|inner| Body::new(TracedBody { inner, span })))
    }
}

fn record_code(span: &Span, code: Code) {
    span.record("rpc.response.status_code", code_name(code));
    // The codes that are errors of the server, by the conventions of OpenTelemetry.
    let failed = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    if failed {
        span.record("otel.status_code", "ERROR");
    }
}

/// A response body, whose span lasts until its end.
struct TracedBody {
    inner: Body,
    span: Span,
}

impl http_body::Body for TracedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let entered = this.span.enter();
        let frame = Pin::new(&mut this.inner).poll_frame(context);
        drop(entered);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(status) = frame.trailers_ref().and_then(Status::from_header_map)
        {
            record_code(&this.span, status.code());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
