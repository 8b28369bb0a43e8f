//! The interceptor: turns what the gate verified into the caller that handlers see.

use tonic::{Request, Status};

use super::gate::Admitted;
use crate::model::{Call, Error};

/// Puts the call, with its caller and roles, into the request; without a verified identity there is none.
pub fn caller(mut request: Request<()>) -> Result<Request<()>, Status> {
    let Some(Admitted { identity, method, call_id, trace_id, deadline, permit }) = request.extensions_mut().remove()
    else {
        return Err(Error::Unauthenticated.into());
    };
    let call = Call {
        caller: identity.caller.clone(),
        method: method.name,
        call_id,
        trace_id,
        deadline,
        identity_expires: identity.expire_time,
        permit,
    };
    request.extensions_mut().insert(call);
    Ok(request)
}
