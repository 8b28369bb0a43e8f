//! The context of an operation: who acts, and within what.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::{Caller, OrganizationId, Role};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A verified caller.
    Caller(Arc<Caller>),
    /// A part of the service, by its name: a background task for one.
    System(&'static str),
}

/// A `request_id` and a digest of what was requested under it (AIP-155).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The caller's id of the request.
    pub request_id: Uuid,
    /// Keyed digest of the request without its id.
    pub digest: [u8; 32],
}

/// Who acts and within what: every operation of the application takes one.
#[derive(Clone)]
pub struct OpContext {
    /// Who acts.
    pub actor: Actor,
    /// The organization whose rows are read and changed.
    pub organization: OrganizationId,
    /// The RPC, such as `outflow.v1.ConnectionService/DeleteConnection`, or the name of a background task.
    pub operation: &'static str,
    /// `x-request-id` of the call; of a background task a new id for each run.
    pub call_id: String,
    /// The W3C trace id.
    pub trace_id: Option<String>,
    /// No statement is begun after it.
    pub deadline: Instant,
    /// Set for a mutation with a `request_id`.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Check everything, change nothing (AIP-163).
    pub validate_only: bool,
    /// The permit of a call in flight. It is released with the last copy of the context: a transaction keeps one, so that
    /// a caller who cancels does not free the permit while its transaction still runs.
    pub permit: Option<Arc<dyn Any + Send + Sync>>,
}

impl Actor {
    /// The principal, as resources and the audit log name it.
    pub fn principal(&self) -> String {
        match self {
            Self::Caller(caller) => caller.principal.clone(),
            Self::System(name) => format!("{SYSTEM_PREFIX}{name}"),
        }
    }

    /// The roles on the audit log; a system actor has none.
    pub fn roles(&self) -> &[Role] {
        match self {
            Self::Caller(caller) => &caller.roles,
            Self::System(_) => &[],
        }
    }

    /// Whether the actor has a role, or one that includes it. A system actor has every right.
    pub fn has(&self, role: Role) -> bool {
        match self {
            Self::Caller(caller) => caller.has(role),
            Self::System(_) => true,
        }
    }
}

/// The principals of system actors begin with it; a token with such a subject is refused.
pub const SYSTEM_PREFIX: &str = "system:";

impl OpContext {
    /// The context of a part of the service that acts within an organization.
    pub fn system(name: &'static str, organization: OrganizationId, deadline: Instant) -> Self {
        Self {
            actor: Actor::System(name),
            organization,
            operation: name,
            call_id: Uuid::new_v4().to_string(),
            trace_id: None,
            deadline,
            idempotency_key: None,
            validate_only: false,
            permit: None,
        }
    }
}
