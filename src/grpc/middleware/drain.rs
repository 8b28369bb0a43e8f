//! Drain: ends the response streams of health and reflection on shutdown, which do not end by themselves.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::{FutureExt as _, stream};
use http_body::Body as _;
use http_body_util::{BodyExt as _, StreamBody};

use crate::app::App;
use crate::grpc::methods::Route;
use crate::grpc::status;
use crate::model::{Error, Unavailable};

/// Ends streams of health and reflection on shutdown.
pub async fn drain<F>(app: &App, request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let drained = matches!(Route::of(request.uri().path()), Route::Health | Route::Reflection);
    let response = next(request).await;
    // A response without a body has its status in the headers already.
    if !drained || response.body().is_end_stream() {
        return response;
    }
    response.map(|body| until_shutdown(body, app))
}

/// A body that ends with UNAVAILABLE on shutdown.
fn until_shutdown(body: Body, app: &App) -> Body {
    let state = Some((body, app.stopping().boxed()));
    Body::new(StreamBody::new(stream::unfold(state, async |state| {
        let (mut body, mut stopping) = state?;
        tokio::select! {
            // Frames that are ready are sent first, so that a health watch still reports NOT_SERVING.
            biased;
            frame = body.frame() => Some((frame?, Some((body, stopping)))),
            () = &mut stopping => Some((status::trailers(Error::Unavailable(Unavailable::Draining)), None)),
        }
    })))
}
