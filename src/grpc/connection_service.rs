//! ConnectionService.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::convert::{
    Form, connection_to_proto, create_connection, list_connections, list_types, message_to_proto, open, open_change,
    rotate_credential, search_usable, share, type_to_proto, types_page_token, update_connection, usable_to_proto,
};
use super::proto as pb;
use crate::app::App;
use crate::model::{Cursor, limits};

/// ConnectionService over the application.
#[derive(Clone)]
pub struct ConnectionApi(App);

impl ConnectionApi {
    /// The service.
    pub fn new(app: App) -> Self {
        Self(app)
    }
}

#[tonic::async_trait]
impl pb::connection_service_server::ConnectionService for ConnectionApi {
    type StreamBlockingExportsStream =
        Pin<Box<dyn Stream<Item = Result<pb::StreamBlockingExportsResponse, Status>> + Send>>;

    async fn list_connection_types(
        &self,
        request: Request<pb::ListConnectionTypesRequest>,
    ) -> Result<Response<pb::ListConnectionTypesResponse>, Status> {
        let (call, request) = open(request)?;
        let (after, size) = list_types(&request)?;
        let (types, more) = self.0.list_connection_types(&call, after.as_deref(), size)?;
        let last = types.last().filter(|_| more);
        let next_page_token = last.map(|last| types_page_token(&last.id)).unwrap_or_default();
        let connection_types = types.into_iter().map(type_to_proto).collect();
        Ok(Response::new(pb::ListConnectionTypesResponse { connection_types, next_page_token }))
    }

    async fn get_connection_type(
        &self,
        request: Request<pb::GetConnectionTypeRequest>,
    ) -> Result<Response<pb::GetConnectionTypeResponse>, Status> {
        let (call, request) = open(request)?;
        let mut form = Form::new(&call, [])?;
        let id = form.connection_type("name", &request.name);
        let id = form.finish(id)?;
        let connection_type = Some(type_to_proto(self.0.get_connection_type(&call, &id)?));
        Ok(Response::new(pb::GetConnectionTypeResponse { connection_type }))
    }

    async fn create_connection(
        &self,
        request: Request<pb::CreateConnectionRequest>,
    ) -> Result<Response<pb::CreateConnectionResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let input = create_connection(&call, request)?;
        let connection = self.0.create_connection(&call, mutation, input).await?;
        let connection = Some(connection_to_proto(connection, mutation.validate_only));
        Ok(Response::new(pb::CreateConnectionResponse { connection }))
    }

    async fn get_connection(
        &self,
        request: Request<pb::GetConnectionRequest>,
    ) -> Result<Response<pb::GetConnectionResponse>, Status> {
        let (call, request) = open(request)?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        let name = form.connection("name", &request.name);
        let name = form.finish(name)?;
        let connection = self.0.get_connection(&call, &name).await?;
        Ok(Response::new(pb::GetConnectionResponse { connection: Some(connection_to_proto(connection, false)) }))
    }

    async fn list_connections(
        &self,
        request: Request<pb::ListConnectionsRequest>,
    ) -> Result<Response<pb::ListConnectionsResponse>, Status> {
        let (call, request) = open(request)?;
        let list = list_connections(&call, &request)?;
        let page = self.0.list_connections(&call, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&page);
        let connections = page.items.into_iter().map(|found| connection_to_proto(found, false)).collect();
        Ok(Response::new(pb::ListConnectionsResponse { connections, next_page_token }))
    }

    async fn update_connection(
        &self,
        request: Request<pb::UpdateConnectionRequest>,
    ) -> Result<Response<pb::UpdateConnectionResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let input = update_connection(&call, request)?;
        let connection = self.0.update_connection(&call, mutation, input).await?;
        let connection = Some(connection_to_proto(connection, mutation.validate_only));
        Ok(Response::new(pb::UpdateConnectionResponse { connection }))
    }

    async fn delete_connection(
        &self,
        request: Request<pb::DeleteConnectionRequest>,
    ) -> Result<Response<pb::DeleteConnectionResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        form.request_id(&request.request_id);
        let name = form.connection("name", &request.name);
        let name = form.finish(name)?;
        self.0.delete_connection(&call, mutation, name, request.etag).await?;
        Ok(Response::new(pb::DeleteConnectionResponse {}))
    }

    async fn stream_blocking_exports(
        &self,
        request: Request<pb::StreamBlockingExportsRequest>,
    ) -> Result<Response<Self::StreamBlockingExportsStream>, Status> {
        let (call, request) = open(request)?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        let name = form.connection("name", &request.name);
        let name = form.finish(name)?;
        let cursor = Cursor::decode(&request.cursor)?;
        let messages = self.0.stream_blocking_exports(&call, &name, cursor, request.follow).await?;
        Ok(Response::new(Box::pin(messages.map(|message| Ok(message_to_proto(message?))))))
    }

    async fn search_usable_connections(
        &self,
        request: Request<pb::SearchUsableConnectionsRequest>,
    ) -> Result<Response<pb::SearchUsableConnectionsResponse>, Status> {
        let (call, request) = open(request)?;
        let list = search_usable(&call, &request)?;
        let page = self.0.search_usable_connections(&call, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&page);
        let usable_connections = page.items.into_iter().map(usable_to_proto).collect();
        Ok(Response::new(pb::SearchUsableConnectionsResponse { usable_connections, next_page_token }))
    }

    async fn share_connection(
        &self,
        request: Request<pb::ShareConnectionRequest>,
    ) -> Result<Response<pb::ShareConnectionResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let (all, id) = (request.all_contributors, request.request_id);
        let input = share(&call, &request.name, request.etag, all, &request.members, &id)?;
        let connection = self.0.share_connection(&call, mutation, input).await?;
        let connection = Some(connection_to_proto(connection, mutation.validate_only));
        Ok(Response::new(pb::ShareConnectionResponse { connection }))
    }

    async fn unshare_connection(
        &self,
        request: Request<pb::UnshareConnectionRequest>,
    ) -> Result<Response<pb::UnshareConnectionResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let (all, id) = (request.all_contributors, request.request_id);
        let input = share(&call, &request.name, request.etag, all, &request.members, &id)?;
        let unshared = self.0.unshare_connection(&call, mutation, input).await?;
        let affected_export_count = i64::try_from(unshared.affected_export_count).unwrap_or(i64::MAX);
        let connection = Some(connection_to_proto(unshared.connection, mutation.validate_only));
        Ok(Response::new(pb::UnshareConnectionResponse { connection, affected_export_count }))
    }

    async fn rotate_connection_credential(
        &self,
        request: Request<pb::RotateConnectionCredentialRequest>,
    ) -> Result<Response<pb::RotateConnectionCredentialResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let (id, etag, credential) = rotate_credential(&call, request)?;
        let connection = self.0.rotate_connection_credential(&call, mutation, id, etag, credential).await?;
        let connection = Some(connection_to_proto(connection, mutation.validate_only));
        Ok(Response::new(pb::RotateConnectionCredentialResponse { connection }))
    }

    async fn revoke_connection_credential(
        &self,
        request: Request<pb::RevokeConnectionCredentialRequest>,
    ) -> Result<Response<pb::RevokeConnectionCredentialResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        form.request_id(&request.request_id);
        let name = form.connection("name", &request.name);
        let id = form.finish(name)?.id;
        let connection = self.0.revoke_connection_credential(&call, mutation, id, request.etag).await?;
        let connection = Some(connection_to_proto(connection, mutation.validate_only));
        Ok(Response::new(pb::RevokeConnectionCredentialResponse { connection }))
    }

    async fn suspend_connection(
        &self,
        request: Request<pb::SuspendConnectionRequest>,
    ) -> Result<Response<pb::SuspendConnectionResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        form.request_id(&request.request_id);
        let name = form.connection("name", &request.name);
        let reason = form.text("reason", request.reason, limits::REASON_CHARS);
        let id = form.finish(name)?.id;
        let connection = self.0.suspend_connection(&call, mutation, id, request.etag, reason).await?;
        let connection = Some(connection_to_proto(connection, mutation.validate_only));
        Ok(Response::new(pb::SuspendConnectionResponse { connection }))
    }

    async fn resume_connection(
        &self,
        request: Request<pb::ResumeConnectionRequest>,
    ) -> Result<Response<pb::ResumeConnectionResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        form.request_id(&request.request_id);
        let name = form.connection("name", &request.name);
        let id = form.finish(name)?.id;
        let connection = self.0.resume_connection(&call, mutation, id, request.etag).await?;
        let connection = Some(connection_to_proto(connection, mutation.validate_only));
        Ok(Response::new(pb::ResumeConnectionResponse { connection }))
    }
}
