//! The interceptor: makes the context of an operation from the extensions that the middleware added to the request.

use std::sync::Arc;

use tonic::{Request, Status};

use super::middleware::{AuthorizedCall, CallInfo};
use crate::model::{Actor, Caller, Error, InvalidRequest, OpContext};

/// Puts the context, with the caller and its roles, into the request. A call without a verified caller is refused.
pub fn caller_context(mut request: Request<()>) -> Result<Request<()>, Status> {
    let extensions = request.extensions_mut();
    let parts =
        (extensions.remove::<Arc<Caller>>(), extensions.remove::<CallInfo>(), extensions.remove::<AuthorizedCall>());
    let (Some(caller), Some(call), Some(AuthorizedCall { method, deadline, permit })) = parts else {
        return Err(Error::Unauthenticated.into());
    };
    extensions.insert(OpContext {
        organization: caller.organization.clone(),
        actor: Actor::Caller(caller),
        operation: method.name,
        call_id: call.call_id,
        trace_parent: call.trace_parent,
        deadline,
        idempotency_key: None,
        validate_only: false,
        invalid_form: InvalidRequest::default(),
        permit,
    });
    Ok(request)
}
