//! Makes the calls about runs.

use outflow::grpc::proto as pb;
use tonic::Status;

use super::operations::{Op, RunName};
use super::run_views::comparable_run;
use super::views::{Organization, ResponseView};
use crate::support::Client;

/// The largest page.
const PAGE_SIZE: i32 = 1_000;

fn run_view(run: Option<pb::ExportRun>, wanted: Option<&RunName>) -> ResponseView {
    let run = run.expect("a run");
    if let Some(wanted) = wanted {
        assert_eq!(run.uid, wanted.uid, "another run than the one of the request");
    }
    ResponseView::Run(Box::new(comparable_run(run)))
}

/// Makes a call; a change is sent with the request id.
pub async fn call(
    client: &mut Client,
    org: &Organization,
    op: &Op,
    request_id: String,
) -> Result<ResponseView, Status> {
    let exports = &mut client.exports;
    Ok(match op.clone() {
        Op::RunExport { id } => {
            let request = pb::RunExportRequest { name: org.export(&id), request_id, ..Default::default() };
            run_view(exports.run_export(request).await?.into_inner().run, None)
        }
        Op::BatchRun { .. } | Op::RunScheduled => {
            let names = if let Op::BatchRun { ids } = op { org.exports(ids) } else { Vec::new() };
            let request = pb::BatchRunExportsRequest {
                parent: org.parent(),
                all_scheduled: names.is_empty(),
                names,
                request_id,
                ..Default::default()
            };
            let response = exports.batch_run_exports(request).await?.into_inner();
            assert!(!response.batch_id.is_empty(), "a batch has an id");
            ResponseView::Started(response.runs.into_iter().map(comparable_run).collect(), response.skipped)
        }
        Op::CancelRun { run } => {
            let request = pb::CancelExportRunRequest { name: org.run(&run), request_id, ..Default::default() };
            run_view(exports.cancel_export_run(request).await?.into_inner().run, Some(&run))
        }
        Op::GetRun { run } => {
            let request = pb::GetExportRunRequest { name: org.run(&run) };
            run_view(exports.get_export_run(request).await?.into_inner().run, Some(&run))
        }
        Op::ListRuns { export, state, trigger, connection } => {
            let request = pb::ListExportRunsRequest {
                parent: org.export(export.as_deref().unwrap_or("-")),
                state,
                trigger,
                connection: connection.map(|id| org.connection(&id)).unwrap_or_default(),
                page_size: PAGE_SIZE,
                ..Default::default()
            };
            let runs = exports.list_export_runs(request).await?.into_inner().runs;
            ResponseView::Runs(runs.into_iter().map(comparable_run).collect())
        }
        other => panic!("not a call about runs: {other:?}"),
    })
}

/// All runs of an organization, the newest first.
pub async fn all_runs(client: &mut Client, org: &Organization) -> Vec<pb::ExportRun> {
    let request = pb::ListExportRunsRequest {
        parent: org.export("-"),
        page_size: PAGE_SIZE,
        ..pb::ListExportRunsRequest::default()
    };
    client.exports.list_export_runs(request).await.expect("listed").into_inner().runs
}
