//! Traces: spans of the target `otel`, exported by OTLP over gRPC, with W3C trace context.

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::field::Empty;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TracesConfig;

/// The target of spans that belong to traces. Logs leave them out.
pub const TARGET: &str = "otel";

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

    /// Exports the spans that are still buffered.
    pub fn shutdown(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "failed to export the last spans");
        }
    }
}

/// The layer that exports traces, if they are configured.
pub fn layer<S>(
    config: Option<&TracesConfig>,
) -> Result<(Option<impl Layer<S> + use<S>>, Telemetry), ExporterBuildError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(TracesConfig { endpoint, sample_ratio }) = config else { return Ok((None, Telemetry::default())) };
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(*sample_ratio)));
    let resource = Resource::builder().with_service_name("outflow").build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("outflow"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_filter(filter_fn(|metadata| metadata.target() == TARGET));
    Ok((Some(layer), Telemetry { provider: Some(provider) }))
}

/// The span of a call, in the trace of the caller. `path` is `/package.Service/Method`.
pub fn rpc_span(path: &str, headers: &HeaderMap) -> Span {
    let method = path.trim_start_matches('/');
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
    // Fails only without the layer, and then there is no trace.
    let _ = span.set_parent(parent);
    span
}

/// Writes the trace context of a span into headers.
pub fn trace_context_of(span: &Span, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&span.context(), &mut HeaderInjector(headers));
}

/// Writes the current trace context into the headers of an outgoing request.
pub fn inject_trace_context(headers: &mut HeaderMap) {
    trace_context_of(&Span::current(), headers);
}
