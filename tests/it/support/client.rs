//! Clients for each kind of caller.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use outflow::grpc::proto::audit_service_client::AuditServiceClient;
use outflow::grpc::proto::connection_service_client::ConnectionServiceClient;
use outflow::grpc::proto::export_service_client::ExportServiceClient;
use outflow::identity::{DevelopmentIdentity, TokenClaims};
use outflow::model::Role;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use super::dynamic::DynamicClient;

/// The organization of every caller that does not say otherwise.
pub const ORGANIZATION: &str = "acme";

/// Puts a token on every call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<tonic::metadata::Ascii>>);

/// Sends calls with the token of the caller.
pub type Wire = InterceptedService<Channel, Bearer>;

/// One caller's clients.
#[derive(Clone)]
pub struct Client {
    /// ConnectionService.
    pub connections: ConnectionServiceClient<Wire>,
    /// ExportService.
    pub exports: ExportServiceClient<Wire>,
    /// AuditService.
    pub audit: AuditServiceClient<Wire>,
    /// Calls the methods of every service by their descriptors.
    pub dynamic: DynamicClient,
}

/// Clients for the kinds of callers of a server.
pub trait Clients {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// A token of its development identity.
    fn token(&self, organization: &str, subject: &str, roles: &[Role], groups: &[&str]) -> String;

    /// An administrator of `acme`.
    async fn admin(&self) -> Client {
        self.caller(ORGANIZATION, "root", &[Role::Admin], &[]).await
    }

    /// A contributor of `acme`.
    async fn contributor(&self, subject: &str) -> Client {
        self.caller(ORGANIZATION, subject, &[Role::Contributor], &[]).await
    }

    /// A viewer of `acme`.
    async fn viewer(&self) -> Client {
        self.caller(ORGANIZATION, "vera", &[Role::Viewer], &[]).await
    }

    /// Nobody.
    async fn anonymous(&self) -> Client {
        self.bearer(None).await
    }

    /// Anybody.
    async fn caller(&self, organization: &str, subject: &str, roles: &[Role], groups: &[&str]) -> Client {
        self.bearer(Some(&self.token(organization, subject, roles, groups))).await
    }

    /// Whoever bears this token.
    async fn bearer(&self, token: Option<&str>) -> Client {
        Client::connect(self.address(), token).await
    }
}

impl Client {
    /// Clients over one connection of their own.
    pub async fn connect(address: SocketAddr, token: Option<&str>) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("the server listens");
        let bearer = Bearer(token.map(|token| format!("Bearer {token}").parse().expect("a token is ASCII")));
        Self {
            connections: ConnectionServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            exports: ExportServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            audit: AuditServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            dynamic: DynamicClient::new(InterceptedService::new(channel, bearer)),
        }
    }
}

/// A token of a development identity.
pub fn mint(
    identity: &DevelopmentIdentity,
    now: DateTime<Utc>,
    (organization, subject): (&str, &str),
    roles: &[Role],
    groups: &[&str],
    ttl: TimeDelta,
) -> String {
    let mint = TokenClaims {
        organization: organization.to_owned(),
        subject: subject.to_owned(),
        roles: roles.to_vec(),
        groups: groups.iter().map(ToString::to_string).collect(),
        ttl,
    };
    identity.mint(&mint, now).expect("a token")
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

/// What tests ask of a status.
pub trait ErrorExt {
    /// `ErrorInfo.reason`
    fn reason(&self) -> String;
    /// An entry of `ErrorInfo.metadata`.
    fn info(&self, key: &str) -> String;
    /// The fields of `BadRequest`.
    fn fields(&self) -> Vec<String>;
}

impl ErrorExt for Status {
    fn reason(&self) -> String {
        self.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
    }

    fn info(&self, key: &str) -> String {
        let details = self.get_error_details();
        details.error_info().and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default()
    }

    fn fields(&self) -> Vec<String> {
        let details = self.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        violations.into_iter().map(|violation| violation.field).collect()
    }
}
