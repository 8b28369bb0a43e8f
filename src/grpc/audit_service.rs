//! AuditService.

use tonic::{Request, Response, Status};

use super::convert::{audit_event_to_proto, list_audit_events, open};
use super::proto as pb;
use crate::app::App;

/// AuditService over the application.
#[derive(Clone)]
pub struct AuditApi(App);

impl AuditApi {
    /// The service.
    pub fn new(app: App) -> Self {
        Self(app)
    }
}

#[tonic::async_trait]
impl pb::audit_service_server::AuditService for AuditApi {
    async fn list_audit_events(
        &self,
        request: Request<pb::ListAuditEventsRequest>,
    ) -> Result<Response<pb::ListAuditEventsResponse>, Status> {
        let (call, request) = open(request)?;
        let list = list_audit_events(&call, &request)?;
        let page = self.0.list_audit_events(&call, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&page);
        let to_proto = |event| audit_event_to_proto(&call.caller.organization, event);
        let audit_events = page.items.into_iter().map(to_proto).collect();
        Ok(Response::new(pb::ListAuditEventsResponse { audit_events, next_page_token }))
    }
}
