//! The context of an operation: the actor, the organization and the limits it runs within.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::{Caller, InvalidRequest, Member, OrganizationId, Role};

/// The originator of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A verified caller.
    Caller(Arc<Caller>),
    /// A component of the service, by name, such as a background task.
    System(&'static str),
}

/// A `request_id` and a digest of the request made with it (AIP-155).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The request id chosen by the caller.
    pub request_id: Uuid,
    /// Keyed digest of the request without its `request_id`.
    pub digest: [u8; 32],
}

/// The value of a W3C `traceparent` header: a trace and one of its spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// Parses a header of version 00.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut has = |length: usize| {
            let part = parts.next().unwrap_or_default();
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let is_valid = text.starts_with("00-") && [2, 32, 16, 2].into_iter().all(&mut has) && parts.next().is_none();
        is_valid.then(|| Self(text.to_owned()))
    }

    /// The value of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }
}

/// The context that every operation of the application takes.
#[derive(Clone)]
pub struct OpContext {
    /// The originator of the operation.
    pub actor: Actor,
    /// The organization whose rows are read and changed.
    pub organization: OrganizationId,
    /// Full name of the RPC, such as `outflow.v1.ConnectionService/DeleteConnection`, or name of the background task.
    pub operation: &'static str,
    /// Request id of the call (`x-request-id`); a background task generates one per context.
    pub call_id: String,
    /// The trace and the span of the call.
    pub trace_parent: Option<TraceParent>,
    /// No statement is started after this time.
    pub deadline: Instant,
    /// Set for a mutation with a `request_id`.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Validate everything without making the change (AIP-163).
    pub validate_only: bool,
    /// What is invalid in the form of the request. A mutation of such a request is applied and rolled back, to report what its
    /// values violate too.
    pub invalid_form: InvalidRequest,
    /// Concurrency permit of the call, released with the last clone of the context. A transaction holds a clone, so
    /// that a cancelled call keeps its permit while its transaction is running.
    pub permit: Option<Arc<dyn Any + Send + Sync>>,
}

impl Actor {
    /// The principal, as recorded in resources and the audit log.
    pub fn principal(&self) -> String {
        match self {
            Self::Caller(caller) => caller.principal.clone(),
            Self::System(name) => format!("{SYSTEM_PREFIX}{name}"),
        }
    }

    /// The caller; `None` for a system actor.
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        match self {
            Self::Caller(caller) => Some(caller),
            Self::System(_) => None,
        }
    }

    /// The roles recorded in the audit log; none for a system actor.
    pub fn roles(&self) -> &[Role] {
        match self {
            Self::Caller(caller) => &caller.roles,
            Self::System(_) => &[],
        }
    }

    /// Whether the actor is this user or in this group.
    pub fn is(&self, member: &Member) -> bool {
        self.caller().is_some_and(|caller| caller.members().contains(member))
    }

    /// Whether the actor has the role or one that includes it. A system actor has all permissions.
    pub fn has(&self, role: Role) -> bool {
        match self {
            Self::Caller(caller) => caller.has(role),
            Self::System(_) => true,
        }
    }
}

/// Prefix of the principals of system actors; tokens with such a subject are refused.
pub const SYSTEM_PREFIX: &str = "system:";

impl OpContext {
    /// Whether a mutation is rolled back: because that is what the caller wants, or because the form of its request is invalid.
    pub fn is_dry_run(&self) -> bool {
        self.validate_only || !self.invalid_form.is_empty()
    }

    /// The context of a component of the service that acts within an organization.
    pub fn system(name: &'static str, organization: OrganizationId, deadline: Instant) -> Self {
        Self {
            actor: Actor::System(name),
            organization,
            operation: name,
            call_id: Uuid::new_v4().to_string(),
            trace_parent: None,
            deadline,
            idempotency_key: None,
            validate_only: false,
            invalid_form: InvalidRequest::default(),
            permit: None,
        }
    }
}
