//! `grpc.health.v1`: whether the process lives, and whether it can serve.

use std::net::SocketAddr;
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as WireStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// The name under which the process alone is asked for, never the database.
pub const LIVENESS: &str = "liveness";

/// What readiness is told for: the server, and each service by its full name.
const SERVICES: [&str; 4] = ["", "outflow.v1.ConnectionService", "outflow.v1.ExportService", "outflow.v1.AuditService"];

/// How long a probe waits.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells health to whoever asks.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Alive and not serving: tonic-health by itself would begin with serving.
    pub async fn start() -> Self {
        let reporter = HealthReporter::new();
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let health = Self(reporter);
        health.set_ready(false).await;
        health
    }

    /// The service that answers; every listener may have one.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.clone()))
    }

    /// Whether it can serve.
    pub async fn set_ready(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}

/// Asks a running server whether it can serve.
pub async fn check(address: SocketAddr) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.connect_timeout(PROBE_TIMEOUT).timeout(PROBE_TIMEOUT).connect().await?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await?;
    Ok(answer.into_inner().status() == WireStatus::Serving)
}
