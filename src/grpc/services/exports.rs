//! Handlers of ExportService.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::grpc::convert::{accept, accept_draft, accept_mutation, datasets, exports, previews, runs, schedule};
use crate::grpc::proto as pb;

/// ExportService over the application.
#[derive(Clone)]
pub struct ExportApi(pub App);

#[tonic::async_trait]
impl pb::export_service_server::ExportService for ExportApi {
    type WatchExportRunStream = Pin<Box<dyn Stream<Item = Result<pb::WatchExportRunResponse, Status>> + Send>>;

    async fn list_datasets(
        &self,
        request: Request<pb::ListDatasetsRequest>,
    ) -> Result<Response<pb::ListDatasetsResponse>, Status> {
        let (context, list) = accept(&self.0, request, datasets::list_datasets)?;
        let page = self.0.list_datasets(&context, list.filter.as_deref(), &list.page).await?;
        let next_page_token = list.next_page_token(&self.0, &page)?;
        let datasets = page.items.into_iter().map(datasets::to_proto).collect();
        Ok(Response::new(pb::ListDatasetsResponse { datasets, next_page_token }))
    }

    async fn get_dataset(
        &self,
        request: Request<pb::GetDatasetRequest>,
    ) -> Result<Response<pb::GetDatasetResponse>, Status> {
        let (context, name) = accept(&self.0, request, datasets::get_dataset)?;
        let dataset = Some(datasets::to_proto(self.0.get_dataset(&context, &name).await?));
        Ok(Response::new(pb::GetDatasetResponse { dataset }))
    }

    async fn create_export(
        &self,
        request: Request<pb::CreateExportRequest>,
    ) -> Result<Response<pb::CreateExportResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::create_export)?;
        let export = Some(exports::to_proto(self.0.execute(&context, mutation).await?, context.validate_only));
        Ok(Response::new(pb::CreateExportResponse { export }))
    }

    async fn get_export(
        &self,
        request: Request<pb::GetExportRequest>,
    ) -> Result<Response<pb::GetExportResponse>, Status> {
        let (context, name) = accept(&self.0, request, exports::get_export)?;
        let export = Some(exports::to_proto(self.0.get_export(&context, &name).await?, false));
        Ok(Response::new(pb::GetExportResponse { export }))
    }

    async fn list_exports(
        &self,
        request: Request<pb::ListExportsRequest>,
    ) -> Result<Response<pb::ListExportsResponse>, Status> {
        let (context, list) = accept(&self.0, request, exports::list_exports)?;
        let page = self.0.list_exports(&context, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&self.0, &page)?;
        let exports = page.items.into_iter().map(|found| exports::to_proto(found, false)).collect();
        Ok(Response::new(pb::ListExportsResponse { exports, next_page_token }))
    }

    async fn update_export(
        &self,
        request: Request<pb::UpdateExportRequest>,
    ) -> Result<Response<pb::UpdateExportResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::update_export)?;
        let export = Some(exports::to_proto(self.0.execute(&context, mutation).await?, context.validate_only));
        Ok(Response::new(pb::UpdateExportResponse { export }))
    }

    async fn delete_export(
        &self,
        request: Request<pb::DeleteExportRequest>,
    ) -> Result<Response<pb::DeleteExportResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::delete_export)?;
        self.0.execute(&context, mutation).await?;
        Ok(Response::new(pb::DeleteExportResponse {}))
    }

    async fn batch_delete_exports(
        &self,
        request: Request<pb::BatchDeleteExportsRequest>,
    ) -> Result<Response<pb::BatchDeleteExportsResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::batch_delete_exports)?;
        let outcome = self.0.execute(&context, mutation).await?;
        let (results, batch_id) = exports::outcome_to_proto(outcome, context.validate_only);
        Ok(Response::new(pb::BatchDeleteExportsResponse { results, batch_id }))
    }

    async fn duplicate_export(
        &self,
        request: Request<pb::DuplicateExportRequest>,
    ) -> Result<Response<pb::DuplicateExportResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::duplicate_export)?;
        let export = Some(exports::to_proto(self.0.execute(&context, mutation).await?, context.validate_only));
        Ok(Response::new(pb::DuplicateExportResponse { export }))
    }

    async fn attach_export(
        &self,
        request: Request<pb::AttachExportRequest>,
    ) -> Result<Response<pb::AttachExportResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::attach_export)?;
        let export = Some(exports::to_proto(self.0.execute(&context, mutation).await?, context.validate_only));
        Ok(Response::new(pb::AttachExportResponse { export }))
    }

    async fn batch_attach_exports(
        &self,
        request: Request<pb::BatchAttachExportsRequest>,
    ) -> Result<Response<pb::BatchAttachExportsResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::batch_attach_exports)?;
        let outcome = self.0.execute(&context, mutation).await?;
        let (results, batch_id) = exports::outcome_to_proto(outcome, context.validate_only);
        Ok(Response::new(pb::BatchAttachExportsResponse { results, batch_id }))
    }

    async fn detach_export(
        &self,
        request: Request<pb::DetachExportRequest>,
    ) -> Result<Response<pb::DetachExportResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::detach_export)?;
        let export = Some(exports::to_proto(self.0.execute(&context, mutation).await?, context.validate_only));
        Ok(Response::new(pb::DetachExportResponse { export }))
    }

    async fn batch_detach_exports(
        &self,
        request: Request<pb::BatchDetachExportsRequest>,
    ) -> Result<Response<pb::BatchDetachExportsResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::batch_detach_exports)?;
        let detached = self.0.execute(&context, mutation).await?;
        let detached_count = i64::try_from(detached.detached_count).unwrap_or(i64::MAX);
        let (results, batch_id) = exports::outcome_to_proto(detached.outcome, context.validate_only);
        Ok(Response::new(pb::BatchDetachExportsResponse { results, batch_id, detached_count }))
    }

    async fn batch_update_export_schedules(
        &self,
        request: Request<pb::BatchUpdateExportSchedulesRequest>,
    ) -> Result<Response<pb::BatchUpdateExportSchedulesResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, exports::batch_update_export_schedules)?;
        let outcome = self.0.execute(&context, mutation).await?;
        let (results, batch_id) = exports::outcome_to_proto(outcome, context.validate_only);
        Ok(Response::new(pb::BatchUpdateExportSchedulesResponse { results, batch_id }))
    }

    async fn preview_schedule(
        &self,
        request: Request<pb::PreviewScheduleRequest>,
    ) -> Result<Response<pb::PreviewScheduleResponse>, Status> {
        let (context, (schedule, count)) = accept_draft(&self.0, request, schedule::preview_schedule)?;
        let preview = self.0.preview_schedule(&context, &schedule, count)?;
        Ok(Response::new(schedule::preview_to_proto(preview)))
    }

    async fn preview_export(
        &self,
        request: Request<pb::PreviewExportRequest>,
    ) -> Result<Response<pb::PreviewExportResponse>, Status> {
        let (context, (target, rows)) = accept_draft(&self.0, request, previews::preview_export)?;
        let preview = self.0.preview_export(&context, target, rows).await?;
        Ok(Response::new(previews::preview_to_proto(preview)))
    }

    async fn run_export(
        &self,
        request: Request<pb::RunExportRequest>,
    ) -> Result<Response<pb::RunExportResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, runs::run_export)?;
        let run = Some(runs::to_proto(&context, self.0.run_retention(), self.0.execute(&context, mutation).await?));
        Ok(Response::new(pb::RunExportResponse { run }))
    }

    async fn batch_run_exports(
        &self,
        request: Request<pb::BatchRunExportsRequest>,
    ) -> Result<Response<pb::BatchRunExportsResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, runs::batch_run_exports)?;
        let batch = self.0.execute(&context, mutation).await?;
        Ok(Response::new(runs::batch_to_proto(&context, self.0.run_retention(), batch)))
    }

    async fn get_export_run(
        &self,
        request: Request<pb::GetExportRunRequest>,
    ) -> Result<Response<pb::GetExportRunResponse>, Status> {
        let (context, name) = accept(&self.0, request, runs::get_export_run)?;
        let run = Some(runs::to_proto(&context, self.0.run_retention(), self.0.get_export_run(&context, &name).await?));
        Ok(Response::new(pb::GetExportRunResponse { run }))
    }

    async fn list_export_runs(
        &self,
        request: Request<pb::ListExportRunsRequest>,
    ) -> Result<Response<pb::ListExportRunsResponse>, Status> {
        let (context, list) = accept(&self.0, request, runs::list_export_runs)?;
        let page = self.0.list_export_runs(&context, &list.filter, &list.page).await?;
        let next_page_token = list.next_page_token(&self.0, &page)?;
        let retention = self.0.run_retention();
        let runs = page.items.into_iter().map(|run| runs::to_proto(&context, retention, run)).collect();
        Ok(Response::new(pb::ListExportRunsResponse { runs, next_page_token }))
    }

    async fn cancel_export_run(
        &self,
        request: Request<pb::CancelExportRunRequest>,
    ) -> Result<Response<pb::CancelExportRunResponse>, Status> {
        let (context, mutation) = accept_mutation(&self.0, request, runs::cancel_export_run)?;
        let run = Some(runs::to_proto(&context, self.0.run_retention(), self.0.execute(&context, mutation).await?));
        Ok(Response::new(pb::CancelExportRunResponse { run }))
    }

    async fn watch_export_run(
        &self,
        request: Request<pb::WatchExportRunRequest>,
    ) -> Result<Response<Self::WatchExportRunStream>, Status> {
        let (context, name) = accept(&self.0, request, runs::watch_export_run)?;
        let watched = self.0.watch_export_run(&context, &name).await?;
        let retention = self.0.run_retention();
        let message =
            move |run| Ok(pb::WatchExportRunResponse { run: Some(runs::to_proto(&context, retention, run?)) });
        Ok(Response::new(Box::pin(watched.map(message))))
    }
}
