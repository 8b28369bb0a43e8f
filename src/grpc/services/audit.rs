//! Handlers of AuditService.

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::grpc::convert::{accept, audit_events};
use crate::grpc::proto as pb;

/// AuditService over the application.
#[derive(Clone)]
pub struct AuditApi(pub App);

#[tonic::async_trait]
impl pb::audit_service_server::AuditService for AuditApi {
    async fn list_audit_events(
        &self,
        request: Request<pb::ListAuditEventsRequest>,
    ) -> Result<Response<pb::ListAuditEventsResponse>, Status> {
        let (context, list) = accept(&self.0, request, audit_events::list_audit_events)?;
        let page = self.0.list_audit_events(&context, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&self.0, &page)?;
        let to_proto = |event| audit_events::to_proto(&context.organization, event);
        let audit_events = page.items.into_iter().map(to_proto).collect();
        Ok(Response::new(pb::ListAuditEventsResponse { audit_events, next_page_token }))
    }
}
