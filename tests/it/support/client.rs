//! Clients for each kind of caller.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use outflow::grpc::proto::audit_service_client::AuditServiceClient;
use outflow::grpc::proto::connection_service_client::ConnectionServiceClient;
use outflow::grpc::proto::export_service_client::ExportServiceClient;
use outflow::grpc::proto::identity_service_client::IdentityServiceClient;
use outflow::identity::{DevelopmentIdentity, TokenClaims};
use outflow::model::Role;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use super::dynamic::DynamicClient;

/// The organization of callers by default.
pub const ORGANIZATION: &str = "acme";

/// Sends a token with every call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<tonic::metadata::Ascii>>);

/// A channel that sends the token of the caller.
pub type AuthenticatedChannel = InterceptedService<Channel, Bearer>;

/// The clients of one caller, one for each service.
#[derive(Clone)]
pub struct Client {
    /// Client of ConnectionService.
    pub connections: ConnectionServiceClient<AuthenticatedChannel>,
    /// Client of ExportService.
    pub exports: ExportServiceClient<AuthenticatedChannel>,
    /// Client of AuditService.
    pub audit: AuditServiceClient<AuthenticatedChannel>,
    /// Client of IdentityService.
    pub identity: IdentityServiceClient<AuthenticatedChannel>,
    /// Calls the methods of every service by their descriptors.
    pub dynamic: DynamicClient,
}

/// Connects clients to a server, for each kind of caller.
pub trait Clients {
    /// The address of the API.
    fn address(&self) -> SocketAddr;
    /// Mints a token with its development identity, valid for 12 hours.
    fn token(&self, organization: &str, subject: &str, roles: &[Role], groups: &[&str]) -> String;

    /// Connects as an administrator of `acme`.
    async fn admin(&self) -> Client {
        self.caller(ORGANIZATION, "root", &[Role::Admin], &[]).await
    }

    /// Connects as a contributor of `acme`.
    async fn contributor(&self, subject: &str) -> Client {
        self.caller(ORGANIZATION, subject, &[Role::Contributor], &[]).await
    }

    /// Connects as a viewer of `acme`.
    async fn viewer(&self) -> Client {
        self.caller(ORGANIZATION, "vera", &[Role::Viewer], &[]).await
    }

    /// Connects without a token.
    async fn anonymous(&self) -> Client {
        self.bearer(None).await
    }

    /// Connects as any caller.
    async fn caller(&self, organization: &str, subject: &str, roles: &[Role], groups: &[&str]) -> Client {
        self.bearer(Some(&self.token(organization, subject, roles, groups))).await
    }

    /// Connects with this token.
    async fn bearer(&self, token: Option<&str>) -> Client {
        Client::connect(self.address(), token).await
    }
}

impl Client {
    /// Connects; all clients share one HTTP/2 connection.
    pub async fn connect(address: SocketAddr, token: Option<&str>) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("the server listens");
        let bearer = Bearer(token.map(|token| format!("Bearer {token}").parse().expect("a token is ASCII")));
        Self {
            connections: ConnectionServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            exports: ExportServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            audit: AuditServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            identity: IdentityServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            dynamic: DynamicClient::new(InterceptedService::new(channel, bearer)),
        }
    }
}

/// Mints a token with a development identity.
pub fn mint(
    identity: &DevelopmentIdentity,
    now: DateTime<Utc>,
    (organization, subject): (&str, &str),
    roles: &[Role],
    groups: &[&str],
    ttl: TimeDelta,
) -> String {
    let claims = TokenClaims {
        organization: organization.to_owned(),
        subject: subject.to_owned(),
        roles: roles.to_vec(),
        groups: groups.iter().map(ToString::to_string).collect(),
        ttl,
    };
    identity.mint(&claims, now).expect("a token")
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

/// Access to the error details of a status.
pub trait ErrorExt {
    /// Returns `ErrorInfo.reason`; empty if there is none.
    fn reason(&self) -> String;
    /// Returns an entry of `ErrorInfo.metadata`; empty if there is none.
    fn info(&self, key: &str) -> String;
    /// Returns the fields of the violations of `BadRequest`.
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
