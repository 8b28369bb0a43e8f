//! Traces: spans of the target `otel`, exported by OTLP over gRPC, with W3C trace context.

use std::collections::HashMap;
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::field::Empty;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use super::settings::TracesSettings;
use crate::model::Run;

/// The target of spans that belong to traces. Logs leave them out.
pub const TARGET: &str = "otel";

/// How long the export of the last spans may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The exporter of traces, to be shut down last.
#[derive(Default)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Whether traces are exported.
    pub fn has_traces(&self) -> bool {
        self.provider.is_some()
    }

    /// Exports the spans that are still buffered, for up to a second.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        let shutdown = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT));
        if let Ok(Err(error)) = shutdown.await {
            tracing::warn!(%error, "failed to export the last spans");
        }
    }
}

/// The layer that exports traces, if they are configured. Otherwise it disables their spans: no other layer does, since a
/// filter of the log applies to the log alone.
pub fn layer<S>(
    settings: Option<&TracesSettings<'_>>,
) -> Result<(impl Layer<S> + use<S>, Telemetry), ExporterBuildError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let provider = settings.map(provider).transpose()?;
    let layer = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("outflow"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
    });
    let level = if provider.is_some() { LevelFilter::INFO } else { LevelFilter::OFF };
    let filter = filter_fn(move |metadata| metadata.target() == TARGET && *metadata.level() <= level);
    Ok((layer.with_filter(filter.with_max_level_hint(level)), Telemetry { provider }))
}

fn provider(settings: &TracesSettings<'_>) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(settings.endpoint).build()?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(Resource::builder().with_service_name("outflow").build());
    Ok(provider.build())
}

/// The span of a call, in the trace of the caller. `method` is `package.Service/Method`.
pub fn rpc_span(method: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: "otel",
        "rpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty
    );
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // Fails only if traces are not exported.
    let _ = span.set_parent(parent);
    span
}

/// The span of an attempt of a run: the first of a new trace, linked to the call that started the run.
pub fn run_span(run: &Run) -> Span {
    let span = tracing::info_span!(
        target: "otel",
        parent: None,
        "run",
        otel.name = "run",
        otel.status_code = Empty,
        run = %run.name,
        attempt = run.attempt,
        connection_type = run.connection_type.as_str()
    );
    if let Some(parent) = &run.trace_parent {
        let carrier = HashMap::from([("traceparent".to_owned(), parent.as_str().to_owned())]);
        let call = TraceContextPropagator::new().extract(&carrier);
        span.add_link(call.span().span_context().clone());
    }
    span
}

/// Writes the trace context of a span into headers.
pub fn inject_span_context(span: &Span, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&span.context(), &mut HeaderInjector(headers));
}

/// Writes the current trace context into the headers of an outgoing request.
pub fn inject_trace_context(headers: &mut HeaderMap) {
    inject_span_context(&Span::current(), headers);
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{Registry, fmt, registry};

    use super::*;

    #[test]
    fn spans_are_disabled_unless_traces_are_exported() {
        let (traces, telemetry) = layer::<Registry>(None).unwrap();
        assert!(!telemetry.has_traces());
        let logs =
            fmt::layer().with_writer(std::io::sink).with_filter(filter_fn(|metadata| metadata.target() != TARGET));
        tracing::subscriber::with_default(registry().with(traces).with(logs), || {
            assert!(rpc_span("outflow.v1.ConnectionService/GetConnection", &HeaderMap::new()).is_disabled());
            assert!(!tracing::info_span!("another").is_disabled());
        });
    }
}
