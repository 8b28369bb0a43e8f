//! Handlers of IdentityService.

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::grpc::convert::{accept, callers};
use crate::grpc::proto as pb;

/// IdentityService over the application.
#[derive(Clone)]
pub struct IdentityApi(pub App);

#[tonic::async_trait]
impl pb::identity_service_server::IdentityService for IdentityApi {
    async fn get_caller(
        &self,
        request: Request<pb::GetCallerRequest>,
    ) -> Result<Response<pb::GetCallerResponse>, Status> {
        let (_, caller) = accept(&self.0, request, |validator, _| callers::get_caller(validator))?;
        Ok(Response::new(pb::GetCallerResponse { caller: Some(callers::to_proto(&caller)) }))
    }
}
