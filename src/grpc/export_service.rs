//! ExportService.

use tonic::{Request, Response, Status};

use super::convert::{
    Form, attach_export, create_export, duplicate_export, export_to_proto, list_exports, occurrence_to_proto, open,
    open_change, outcome_to_proto, preview_schedule, schedule_change, update_export,
};
use super::proto as pb;
use crate::app::{App, DetachTarget};
use crate::model::limits;

/// ExportService over the application.
#[derive(Clone)]
pub struct ExportApi(App);

impl ExportApi {
    /// The service.
    pub fn new(app: App) -> Self {
        Self(app)
    }
}

#[tonic::async_trait]
impl pb::export_service_server::ExportService for ExportApi {
    async fn create_export(
        &self,
        request: Request<pb::CreateExportRequest>,
    ) -> Result<Response<pb::CreateExportResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let input = create_export(&call, request)?;
        let export = self.0.create_export(&call, mutation, input).await?;
        let export = Some(export_to_proto(export, mutation.validate_only));
        Ok(Response::new(pb::CreateExportResponse { export }))
    }

    async fn get_export(
        &self,
        request: Request<pb::GetExportRequest>,
    ) -> Result<Response<pb::GetExportResponse>, Status> {
        let (call, request) = open(request)?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        let name = form.export("name", &request.name);
        let export = self.0.get_export(&call, &form.finish(name)?).await?;
        Ok(Response::new(pb::GetExportResponse { export: Some(export_to_proto(export, false)) }))
    }

    async fn list_exports(
        &self,
        request: Request<pb::ListExportsRequest>,
    ) -> Result<Response<pb::ListExportsResponse>, Status> {
        let (call, request) = open(request)?;
        let list = list_exports(&call, &request)?;
        let page = self.0.list_exports(&call, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&page);
        let exports = page.items.into_iter().map(|found| export_to_proto(found, false)).collect();
        Ok(Response::new(pb::ListExportsResponse { exports, next_page_token }))
    }

    async fn update_export(
        &self,
        request: Request<pb::UpdateExportRequest>,
    ) -> Result<Response<pb::UpdateExportResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let input = update_export(&call, request)?;
        let export = self.0.update_export(&call, mutation, input).await?;
        let export = Some(export_to_proto(export, mutation.validate_only));
        Ok(Response::new(pb::UpdateExportResponse { export }))
    }

    async fn delete_export(
        &self,
        request: Request<pb::DeleteExportRequest>,
    ) -> Result<Response<pb::DeleteExportResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        form.request_id(&request.request_id);
        let name = form.export("name", &request.name);
        self.0.delete_export(&call, mutation, form.finish(name)?.id, request.etag).await?;
        Ok(Response::new(pb::DeleteExportResponse {}))
    }

    async fn batch_delete_exports(
        &self,
        request: Request<pb::BatchDeleteExportsRequest>,
    ) -> Result<Response<pb::BatchDeleteExportsResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let names = std::iter::once(&request.parent).chain(&request.names);
        let mut form = Form::new(&call, names.map(String::as_str))?;
        form.parent(&request.parent);
        form.request_id(&request.request_id);
        let ids = form.export_names(&request.names);
        let ids = form.finish(Some(ids))?;
        let outcome = self.0.batch_delete_exports(&call, mutation, ids).await?;
        let (results, batch_id) = outcome_to_proto(outcome, mutation.validate_only);
        Ok(Response::new(pb::BatchDeleteExportsResponse { results, batch_id }))
    }

    async fn duplicate_export(
        &self,
        request: Request<pb::DuplicateExportRequest>,
    ) -> Result<Response<pb::DuplicateExportResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let input = duplicate_export(&call, request)?;
        let export = self.0.duplicate_export(&call, mutation, input).await?;
        let export = Some(export_to_proto(export, mutation.validate_only));
        Ok(Response::new(pb::DuplicateExportResponse { export }))
    }

    async fn attach_export(
        &self,
        request: Request<pb::AttachExportRequest>,
    ) -> Result<Response<pb::AttachExportResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let input = attach_export(&call, request)?;
        let export = self.0.attach_export(&call, mutation, input).await?;
        let export = Some(export_to_proto(export, mutation.validate_only));
        Ok(Response::new(pb::AttachExportResponse { export }))
    }

    async fn batch_attach_exports(
        &self,
        request: Request<pb::BatchAttachExportsRequest>,
    ) -> Result<Response<pb::BatchAttachExportsResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let names = std::iter::once(&request.parent).chain(&request.names).chain([&request.connection]);
        let mut form = Form::new(&call, names.map(String::as_str))?;
        form.parent(&request.parent);
        form.request_id(&request.request_id);
        let ids = form.export_names(&request.names);
        let connection = form.connection("connection", &request.connection);
        let connection = form.finish(connection)?;
        let outcome = self.0.batch_attach_exports(&call, mutation, ids, connection).await?;
        let (results, batch_id) = outcome_to_proto(outcome, mutation.validate_only);
        Ok(Response::new(pb::BatchAttachExportsResponse { results, batch_id }))
    }

    async fn detach_export(
        &self,
        request: Request<pb::DetachExportRequest>,
    ) -> Result<Response<pb::DetachExportResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let mut form = Form::new(&call, [request.name.as_str()])?;
        form.request_id(&request.request_id);
        let name = form.export("name", &request.name);
        let reason = form.text("reason", request.reason, limits::REASON_CHARS);
        let id = form.finish(name)?.id;
        let export = self.0.detach_export(&call, mutation, id, request.etag, reason).await?;
        let export = Some(export_to_proto(export, mutation.validate_only));
        Ok(Response::new(pb::DetachExportResponse { export }))
    }

    async fn batch_detach_exports(
        &self,
        request: Request<pb::BatchDetachExportsRequest>,
    ) -> Result<Response<pb::BatchDetachExportsResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let names = std::iter::once(&request.parent)
            .chain(&request.names)
            .chain(request.attached_set.iter().map(|set| &set.connection));
        let mut form = Form::new(&call, names.map(String::as_str))?;
        form.parent(&request.parent);
        form.request_id(&request.request_id);
        let reason = form.text("reason", request.reason, limits::REASON_CHARS);
        let target = detach_target(&mut form, &request.names, request.attached_set);
        let target = form.finish(target)?;
        let detached = self.0.batch_detach_exports(&call, mutation, target, reason).await?;
        let outcome = detached.outcome;
        let detached_count = i64::try_from(detached.detached_count).unwrap_or(i64::MAX);
        let (results, batch_id) = outcome_to_proto(outcome, mutation.validate_only);
        Ok(Response::new(pb::BatchDetachExportsResponse { results, batch_id, detached_count }))
    }

    async fn batch_update_export_schedules(
        &self,
        request: Request<pb::BatchUpdateExportSchedulesRequest>,
    ) -> Result<Response<pb::BatchUpdateExportSchedulesResponse>, Status> {
        let (call, mutation, request) =
            open_change(&self.0, request, |asked| (&mut asked.request_id, asked.validate_only))?;
        let names = std::iter::once(&request.parent).chain(&request.names);
        let mut form = Form::new(&call, names.map(String::as_str))?;
        form.parent(&request.parent);
        form.request_id(&request.request_id);
        let ids = form.export_names(&request.names);
        let change = schedule_change(&mut form, request.change);
        let change = form.finish(change)?;
        let outcome = self.0.batch_update_export_schedules(&call, mutation, ids, change).await?;
        let (results, batch_id) = outcome_to_proto(outcome, mutation.validate_only);
        Ok(Response::new(pb::BatchUpdateExportSchedulesResponse { results, batch_id }))
    }

    async fn preview_schedule(
        &self,
        request: Request<pb::PreviewScheduleRequest>,
    ) -> Result<Response<pb::PreviewScheduleResponse>, Status> {
        let (call, request) = open(request)?;
        let (schedule, count) = preview_schedule(&call, request)?;
        let occurrences = self.0.preview_schedule(&call, &schedule, count)?;
        let occurrences = occurrences.into_iter().map(occurrence_to_proto).collect();
        Ok(Response::new(pb::PreviewScheduleResponse { occurrences }))
    }
}

/// By names, or the whole set: one of the two.
fn detach_target(
    form: &mut Form<'_>,
    names: &[String],
    set: Option<pb::batch_detach_exports_request::AttachedSet>,
) -> Option<DetachTarget> {
    let Some(set) = set else { return Some(DetachTarget::Names(form.export_names(names))) };
    if !names.is_empty() {
        form.add("names", "give `names` or `attached_set`, not both");
    }
    if set.blocking_set_etag.is_empty() {
        form.add("attached_set.blocking_set_etag", "is required: see StreamBlockingExports");
    }
    let connection = form.connection("attached_set.connection", &set.connection)?;
    Some(DetachTarget::AttachedSet { connection, blocking_set_etag: set.blocking_set_etag })
}
