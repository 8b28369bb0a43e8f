//! Traces of calls: a span for each, in the trace of its caller.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tonic::{Code, Status};
use tracing::{Instrument as _, Span};

use crate::grpc::methods::Route;
use crate::grpc::status::code_name;
use crate::telemetry::{inject_span_context, rpc_span};

/// Traces a call.
pub async fn trace<F>(mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let span = rpc_span(Route::of(request.uri().path()).method_name(), request.headers());
    // If the caller sent no trace context, a new trace starts; the access log has its id too.
    inject_span_context(&span, request.headers_mut());
    let response = next(request).instrument(span.clone()).await;
    let code = Status::from_header_map(response.headers()).map(|status| status.code());
    if let Some(code) = code {
        record_code(&span, code);
    }
    response.map(|inner| Body::new(TracedBody { inner, span }))
}

fn record_code(span: &Span, code: Code) {
    span.record("rpc.response.status_code", code_name(code));
    // The codes that mark the span of a server as an error, by the semantic conventions of OpenTelemetry.
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

impl HttpBody for TracedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
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
