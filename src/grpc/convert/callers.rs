//! Callers as messages.

use std::sync::Arc;

use super::validator::RequestValidator;
use super::values::time_to_proto;
use crate::grpc::proto as pb;
use crate::model::{Caller, Role};

/// The caller that GetCaller returns: that of the call.
pub fn get_caller(validator: &RequestValidator<'_>) -> Option<Arc<Caller>> {
    validator.context.actor.caller().cloned()
}

/// Converts a caller to its message.
pub fn to_proto(caller: &Caller) -> pb::Caller {
    pb::Caller {
        principal: caller.principal.clone(),
        organization: format!("organizations/{}", caller.organization),
        roles: caller.roles.iter().map(|role| role_to_proto(*role).into()).collect(),
        groups: caller.groups.clone(),
        expire_time: Some(time_to_proto(caller.expire_time)),
    }
}

fn role_to_proto(role: Role) -> pb::Role {
    match role {
        Role::Viewer => pb::Role::Viewer,
        Role::Contributor => pb::Role::Contributor,
        Role::Admin => pb::Role::Admin,
        Role::Runner => pb::Role::Runner,
    }
}
