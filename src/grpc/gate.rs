//! The gate: every call passes it before its message is read.
//!
//! It verifies who calls, looks up the role of the method, gives the call a place among those in flight, and ends it
//! at its deadline. What it does not know it denies.

use std::any::Any;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::access::Access;
use super::body::{Told, UntilStopped};
use super::methods::{self, Method};
use super::{deadline, status};
use crate::app::App;
use crate::identity::{Rejected, Verifier, bearer_token};
use crate::model::{Caller, Error, Exhausted, OrganizationId};

/// A verified identity.
pub struct Identity {
    /// Who.
    pub caller: Caller,
    /// Until when.
    pub expire_time: DateTime<Utc>,
}

/// What probes call, and nothing like it.
const HEALTH: [&str; 3] =
    ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch"];
/// Unary calls in flight; more are refused.
pub const UNARY_CALLS: usize = 256;

/// What every call is held against.
pub struct Gatekeeper {
    app: App,
    verifier: Verifier,
    open_reflection: bool,
    unary_calls: Arc<Semaphore>,
}

/// What the gate knows of a call that it let through.
#[derive(Clone)]
pub struct Admitted {
    /// Who.
    pub identity: Arc<Identity>,
    /// Through which method.
    pub method: &'static Method,
    /// `x-request-id`.
    pub call_id: String,
    /// The W3C trace.
    pub trace_id: Option<String>,
    /// When it is over.
    pub deadline: Instant,
    /// Its place among the calls in flight.
    pub permit: Option<Arc<dyn Any + Send + Sync>>,
}

/// Puts the gate before a service.
#[derive(Clone)]
pub struct GateLayer(Arc<Gatekeeper>);

/// A service behind the gate.
#[derive(Clone)]
pub struct Gate<S> {
    keeper: Arc<Gatekeeper>,
    inner: S,
}

impl Gatekeeper {
    /// A gatekeeper; with `open_reflection` callers without identity may ask what there is.
    pub fn new(app: App, verifier: Verifier, open_reflection: bool) -> Self {
        Self { app, verifier, open_reflection, unary_calls: Arc::new(Semaphore::new(UNARY_CALLS)) }
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Arc<Identity>, Error> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let verified = match bearer_token(header) {
            Ok(token) => self.verifier.verify(token, self.app.now()).await,
            Err(rejected) => Err(rejected),
        };
        let identity = verified.and_then(|identity| {
            let organization = OrganizationId::parse(&identity.organization).ok_or(Rejected::Organization)?;
            let (principal, roles, groups) = (identity.principal, identity.roles, identity.groups);
            let caller = Caller { principal, organization, roles, groups };
            Ok(Arc::new(Identity { caller, expire_time: identity.expire_time }))
        });
        identity.map_err(|rejected| {
            tracing::debug!(reason = rejected.reason(), "an identity was refused");
            rejected.into()
        })
    }

    /// Lets a call of ours through, or refuses it.
    async fn admit(&self, access: &mut Access, headers: &HeaderMap) -> Result<Admitted, Status> {
        let identity = self.identify(headers).await?;
        access.identity = Some(Arc::clone(&identity));
        let method = methods::find(&access.path).ok_or_else(status::unimplemented)?;
        if !identity.caller.has(method.role) {
            return Err(Error::RoleRequired(method.role).into());
        }
        let permit = if method.streams { None } else { Some(self.place()?) };
        Ok(Admitted {
            deadline: deadline::of(access.began, headers, method.streams),
            method,
            call_id: access.call_id.clone(),
            trace_id: access.trace_id.clone(),
            permit: permit.map(|permit| Arc::new(permit) as Arc<dyn Any + Send + Sync>),
            identity,
        })
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let place = Arc::clone(&self.unary_calls).try_acquire_owned();
        place.map_err(|_| Error::Exhausted(Exhausted::Overloaded))
    }

    /// Whether a path is open to callers without identity: health always, reflection in development.
    async fn is_open(&self, path: &str, headers: &HeaderMap) -> Option<Result<(), Status>> {
        if HEALTH.contains(&path) {
            return Some(Ok(()));
        }
        if path.starts_with("/grpc.reflection.") {
            if self.open_reflection {
                return Some(Ok(()));
            }
            return Some(self.identify(headers).await.map(drop).map_err(Status::from));
        }
        None
    }
}

impl GateLayer {
    /// The layer of a gatekeeper.
    pub fn new(keeper: Gatekeeper) -> Self {
        Self(Arc::new(keeper))
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { keeper: Arc::clone(&self.0), inner }
    }
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was polled ready goes with the call.
        let standby = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, standby);
        let keeper = Arc::clone(&self.keeper);
        Box::pin(async move { keeper.pass(request, inner).await })
    }
}

impl Gatekeeper {
    async fn pass<S>(&self, mut request: Request<Body>, mut inner: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let path = request.uri().path().to_owned();
        if let Some(open) = self.is_open(&path, request.headers()).await {
            return match open {
                Ok(()) => {
                    let stop = Box::pin(self.app.stopping());
                    Ok(inner.call(request).await?.map(|body| Body::new(UntilStopped::new(body, stop))))
                }
                Err(status) => Ok(status.into_http()),
            };
        }
        let mut access = Access::begin(&path, request.headers());
        let (mut response, streams) = match self.admit(&mut access, request.headers()).await {
            Err(status) => (status.into_http(), false),
            Ok(admitted) => {
                let (deadline, streams) = (admitted.deadline, admitted.method.streams);
                request.extensions_mut().insert(admitted);
                let answered = tokio::time::timeout_at(deadline.into(), inner.call(request)).await;
                let response = match answered {
                    Ok(response) => explained(response?),
                    Err(_) => Status::from(Error::DeadlineExceeded).into_http(),
                };
                (response, streams)
            }
        };
        if let Some(denial) = access.answered(&mut response) {
            self.app.denied(denial);
        }
        if streams && access.code == Code::Ok {
            access.begun();
            response = response.map(|body| Body::new(Told::new(body, access)));
        }
        Ok(response)
    }
}

/// Whatever is refused has a reason, also where the library refused it.
fn explained(response: Response<Body>) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok && status.details().is_empty() => {
            status::of_library(&status).into_http()
        }
        _ => response,
    }
}
