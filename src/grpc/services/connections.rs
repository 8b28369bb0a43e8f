//! Handlers of ConnectionService.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::grpc::convert::{
    accept, accept_draft, accept_mutation, blocking_exports, connection_tests, connection_types, connections,
};
use crate::grpc::proto as pb;

/// ConnectionService over the application.
#[derive(Clone)]
pub struct ConnectionApi(pub App);

#[tonic::async_trait]
impl pb::connection_service_server::ConnectionService for ConnectionApi {
    type StreamBlockingExportsStream =
        Pin<Box<dyn Stream<Item = Result<pb::StreamBlockingExportsResponse, Status>> + Send>>;

    async fn list_connection_types(
        &self,
        request: Request<pb::ListConnectionTypesRequest>,
    ) -> Result<Response<pb::ListConnectionTypesResponse>, Status> {
        let (context, list) = accept(&self.0, request, connection_types::list_connection_types)?;
        let page = self.0.list_connection_types(&context, &list.filter, list.after.as_deref(), list.size);
        let (types, more) = page.await?;
        let next = types.last().filter(|_| more).map(|found| list.next_page_token(&found.connection_type.id));
        let next_page_token = next.unwrap_or_default();
        let connection_types = types.iter().map(connection_types::to_proto).collect();
        Ok(Response::new(pb::ListConnectionTypesResponse { connection_types, next_page_token }))
    }

    async fn get_connection_type(
        &self,
        request: Request<pb::GetConnectionTypeRequest>,
    ) -> Result<Response<pb::GetConnectionTypeResponse>, Status> {
        let (context, id) = accept(&self.0, request, connection_types::get_connection_type)?;
        let found = self.0.get_connection_type(&context, &id).await?;
        let connection_type = Some(connection_types::to_proto(&found));
        Ok(Response::new(pb::GetConnectionTypeResponse { connection_type }))
    }

    async fn create_connection(
        &self,
        request: Request<pb::CreateConnectionRequest>,
    ) -> Result<Response<pb::CreateConnectionResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::create_connection)?;
        let connection = self.0.execute(&context, mutation).await?;
        let connection = Some(connections::to_proto(connection, context.validate_only));
        Ok(Response::new(pb::CreateConnectionResponse { connection }))
    }

    async fn get_connection(
        &self,
        request: Request<pb::GetConnectionRequest>,
    ) -> Result<Response<pb::GetConnectionResponse>, Status> {
        let (context, name) = accept(&self.0, request, connections::get_connection)?;
        let connection = Some(connections::to_proto(self.0.get_connection(&context, &name).await?, false));
        Ok(Response::new(pb::GetConnectionResponse { connection }))
    }

    async fn list_connections(
        &self,
        request: Request<pb::ListConnectionsRequest>,
    ) -> Result<Response<pb::ListConnectionsResponse>, Status> {
        let (context, list) = accept(&self.0, request, connections::list_connections)?;
        let page = self.0.list_connections(&context, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&self.0, &page)?;
        let connections = page.items.into_iter().map(|found| connections::to_proto(found, false)).collect();
        Ok(Response::new(pb::ListConnectionsResponse { connections, next_page_token }))
    }

    async fn update_connection(
        &self,
        request: Request<pb::UpdateConnectionRequest>,
    ) -> Result<Response<pb::UpdateConnectionResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::update_connection)?;
        let change = self.0.execute(&context, mutation).await?;
        let (connection, affected_export_count, next_run_time) =
            connections::change_to_proto(change, context.validate_only);
        Ok(Response::new(pb::UpdateConnectionResponse { connection, affected_export_count, next_run_time }))
    }

    async fn delete_connection(
        &self,
        request: Request<pb::DeleteConnectionRequest>,
    ) -> Result<Response<pb::DeleteConnectionResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::delete_connection)?;
        self.0.execute(&context, mutation).await?;
        Ok(Response::new(pb::DeleteConnectionResponse {}))
    }

    async fn stream_blocking_exports(
        &self,
        request: Request<pb::StreamBlockingExportsRequest>,
    ) -> Result<Response<Self::StreamBlockingExportsStream>, Status> {
        let (context, (name, cursor, follow)) = accept(&self.0, request, blocking_exports::stream_blocking_exports)?;
        let messages = self.0.stream_blocking_exports(&context, &name, cursor, follow).await?;
        Ok(Response::new(Box::pin(messages.map(|message| Ok(blocking_exports::to_proto(message?))))))
    }

    async fn search_usable_connections(
        &self,
        request: Request<pb::SearchUsableConnectionsRequest>,
    ) -> Result<Response<pb::SearchUsableConnectionsResponse>, Status> {
        let (context, list) = accept(&self.0, request, connections::search_usable_connections)?;
        let page = self.0.search_usable_connections(&context, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&self.0, &page)?;
        let usable_connections = page.items.into_iter().map(connections::usable_to_proto).collect();
        Ok(Response::new(pb::SearchUsableConnectionsResponse { usable_connections, next_page_token }))
    }

    async fn share_connection(
        &self,
        request: Request<pb::ShareConnectionRequest>,
    ) -> Result<Response<pb::ShareConnectionResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::share_connection)?;
        let connection = self.0.execute(&context, mutation).await?;
        let connection = Some(connections::to_proto(connection, context.validate_only));
        Ok(Response::new(pb::ShareConnectionResponse { connection }))
    }

    async fn unshare_connection(
        &self,
        request: Request<pb::UnshareConnectionRequest>,
    ) -> Result<Response<pb::UnshareConnectionResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::unshare_connection)?;
        let change = self.0.execute(&context, mutation).await?;
        let (connection, affected_export_count, next_run_time) =
            connections::change_to_proto(change, context.validate_only);
        Ok(Response::new(pb::UnshareConnectionResponse { connection, affected_export_count, next_run_time }))
    }

    async fn test_connection(
        &self,
        request: Request<pb::TestConnectionRequest>,
    ) -> Result<Response<pb::TestConnectionResponse>, Status> {
        let (context, test) = accept_draft(&self.0, request, connection_tests::test_connection)?;
        let checks = self.0.test_connection(&context, test).await?;
        Ok(Response::new(connection_tests::checks_to_proto(checks)))
    }

    async fn rotate_connection_credential(
        &self,
        request: Request<pb::RotateConnectionCredentialRequest>,
    ) -> Result<Response<pb::RotateConnectionCredentialResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::rotate_connection_credential)?;
        let change = self.0.rotate_connection_credential(&context, mutation).await?;
        let (connection, affected_export_count, next_run_time) =
            connections::change_to_proto(change, context.validate_only);
        Ok(Response::new(pb::RotateConnectionCredentialResponse { connection, affected_export_count, next_run_time }))
    }

    async fn revoke_connection_credential(
        &self,
        request: Request<pb::RevokeConnectionCredentialRequest>,
    ) -> Result<Response<pb::RevokeConnectionCredentialResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::revoke_connection_credential)?;
        let change = self.0.execute(&context, mutation).await?;
        let (connection, affected_export_count, next_run_time) =
            connections::change_to_proto(change, context.validate_only);
        Ok(Response::new(pb::RevokeConnectionCredentialResponse { connection, affected_export_count, next_run_time }))
    }

    async fn suspend_connection(
        &self,
        request: Request<pb::SuspendConnectionRequest>,
    ) -> Result<Response<pb::SuspendConnectionResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::suspend_connection)?;
        let change = self.0.execute(&context, mutation).await?;
        let (connection, affected_export_count, next_run_time) =
            connections::change_to_proto(change, context.validate_only);
        Ok(Response::new(pb::SuspendConnectionResponse { connection, affected_export_count, next_run_time }))
    }

    async fn resume_connection(
        &self,
        request: Request<pb::ResumeConnectionRequest>,
    ) -> Result<Response<pb::ResumeConnectionResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, connections::resume_connection)?;
        let connection = self.0.execute(&context, mutation).await?;
        let connection = Some(connections::to_proto(connection, context.validate_only));
        Ok(Response::new(pb::ResumeConnectionResponse { connection }))
    }
}
