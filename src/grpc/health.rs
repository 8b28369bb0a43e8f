//! `grpc.health.v1`: whether the process is alive, and whether it is ready.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as WireStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::methods;
use super::middleware::MAX_HEALTH_BYTES;

/// The service name for liveness, which depends on the process alone.
pub const LIVENESS: &str = "liveness";

/// How long `outflow healthcheck` waits.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The serving status reported to health checks.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Starts alive and not serving; the default of tonic-health is serving.
    pub async fn start() -> Self {
        let reporter = HealthReporter::new();
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let health = Self(reporter);
        health.set_ready(false).await;
        health
    }

    /// The health service; several listeners can share the status.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.clone()))
            .max_decoding_message_size(MAX_HEALTH_BYTES)
    }

    /// Sets readiness, of the server and of each service by its full name.
    pub async fn set_ready(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in std::iter::once("").chain(methods::services()) {
            self.0.set_service_status(service, status).await;
        }
    }
}

/// Checks whether a running server is ready.
pub async fn check(address: SocketAddr) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    // A listener on all addresses is reached on this host, by IPv4 even if it has no IPv6.
    let address = if address.ip().is_unspecified() { (Ipv4Addr::LOCALHOST, address.port()).into() } else { address };
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.connect_timeout(PROBE_TIMEOUT).timeout(PROBE_TIMEOUT).connect().await?;
    let response = HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await?;
    Ok(response.into_inner().status() == WireStatus::Serving)
}
