//! Requests about runs, and runs as messages.

#![expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "one signature for all mutations")]

use std::time::Duration;

use super::lists::{List, Paging};
use super::validator::RequestValidator;
use super::values::{time, time_to_proto};
use crate::app::runs::{BatchRunExports, BatchRuns, CancelExportRun, RunExport, RunTarget};
use crate::grpc::proto as pb;
use crate::model::page::OrderKey;
use crate::model::token::{Etag, TokenKind};
use crate::model::{
    FailureCode, OpContext, ResourceId, Role, Run, RunFilter, RunName, RunState, RunTrigger, SkipReason,
};

/// Converts a request of RunExport.
pub fn run_export(validator: &mut RequestValidator<'_>, request: pb::RunExportRequest) -> Option<RunExport> {
    validator.deny_foreign_names([request.name.as_str()]);
    Some(RunExport { id: validator.export("name", &request.name)?.id })
}

/// Converts a request of BatchRunExports.
pub fn batch_run_exports(
    validator: &mut RequestValidator<'_>,
    request: pb::BatchRunExportsRequest,
) -> Option<BatchRunExports> {
    let names = request.names.iter().map(String::as_str);
    validator.deny_foreign_names(std::iter::once(request.parent.as_str()).chain(names));
    validator.parent(&request.parent);
    if !request.all_scheduled {
        return Some(BatchRunExports { target: RunTarget::Names(validator.export_names(&request.names)) });
    }
    if !request.names.is_empty() {
        validator.add("names", "must be empty if `all_scheduled` is set");
    }
    Some(BatchRunExports { target: RunTarget::AllScheduled })
}

/// Converts a request of GetExportRun.
pub fn get_export_run(validator: &mut RequestValidator<'_>, request: &pb::GetExportRunRequest) -> Option<RunName> {
    run_name(validator, &request.name)
}

/// Converts a request of WatchExportRun.
pub fn watch_export_run(validator: &mut RequestValidator<'_>, request: &pb::WatchExportRunRequest) -> Option<RunName> {
    run_name(validator, &request.name)
}

/// Converts a request of CancelExportRun.
pub fn cancel_export_run(
    validator: &mut RequestValidator<'_>,
    request: pb::CancelExportRunRequest,
) -> Option<CancelExportRun> {
    Some(CancelExportRun { name: run_name(validator, &request.name)? })
}

/// Converts a request of ListExportRuns.
pub fn list_export_runs(
    validator: &mut RequestValidator<'_>,
    request: &pb::ListExportRunsRequest,
) -> Option<List<RunFilter>> {
    validator.deny_foreign_names([request.parent.as_str(), &request.connection]);
    let export = export_of_parent(validator, &request.parent);
    let state = pb::export_run::State::try_from(request.state);
    if state.is_err() {
        validator.add("state", "is not a known state");
    }
    let trigger = pb::export_run::Trigger::try_from(request.trigger);
    if trigger.is_err() {
        validator.add("trigger", "is not a known trigger");
    }
    let (state, trigger) = (state.ok().and_then(state_of), trigger.ok().and_then(trigger_of));
    let filter = RunFilter {
        export,
        state,
        trigger,
        connection: validator.optional_connection("connection", &request.connection).map(|name| name.id),
        start_time: time(&mut validator.violations, "start_time", request.start_time),
        end_time: time(&mut validator.violations, "end_time", request.end_time),
    };
    // The newest first, and nothing else.
    let paging = Paging { page_size: request.page_size, page_token: &request.page_token, order_by: "create_time desc" };
    let span = format!("{} {} {:?} {:?}", request.state, request.trigger, filter.start_time, filter.end_time);
    let arguments = [request.parent.as_str(), &request.connection, &span];
    List::parse(validator, &paging, &[("create_time", OrderKey::CreateTime)], filter, &arguments)
}

/// `organizations/{organization}/exports/{export}`; `None` for `-`, and for a name with a violation.
fn export_of_parent(validator: &mut RequestValidator<'_>, text: &str) -> Option<ResourceId> {
    let all = format!("organizations/{}/exports/-", validator.context.organization);
    if text == all { None } else { validator.export("parent", text).map(|name| name.id) }
}

/// `organizations/{organization}/exports/{export}/runs/{run}`, where the export can be `-`.
fn run_name(validator: &mut RequestValidator<'_>, text: &str) -> Option<RunName> {
    validator.deny_foreign_names([text]);
    let own = |name: &RunName| name.organization == validator.context.organization;
    let parsed = RunName::parse(text).filter(own);
    if parsed.is_none() {
        let verb = if text.is_empty() { "is required" } else { "must be" };
        validator.add("name", format!("{verb}: `organizations/{{organization}}/exports/{{export}}/runs/{{run}}`"));
    }
    parsed
}

fn state_of(state: pb::export_run::State) -> Option<RunState> {
    use pb::export_run::State;
    match state {
        State::Unspecified => None,
        State::Queued => Some(RunState::Queued),
        State::Running => Some(RunState::Running),
        State::Succeeded => Some(RunState::Succeeded),
        State::Failed => Some(RunState::Failed),
        State::Cancelling => Some(RunState::Cancelling),
        State::Cancelled => Some(RunState::Cancelled),
        State::Skipped => Some(RunState::Skipped),
    }
}

/// The state of a run.
pub fn state_to_proto(state: RunState) -> pb::export_run::State {
    use pb::export_run::State;
    match state {
        RunState::Queued => State::Queued,
        RunState::Running => State::Running,
        RunState::Succeeded => State::Succeeded,
        RunState::Failed => State::Failed,
        RunState::Cancelling => State::Cancelling,
        RunState::Cancelled => State::Cancelled,
        RunState::Skipped => State::Skipped,
    }
}

fn trigger_of(trigger: pb::export_run::Trigger) -> Option<RunTrigger> {
    use pb::export_run::Trigger;
    match trigger {
        Trigger::Unspecified => None,
        Trigger::Manual => Some(RunTrigger::Manual),
        Trigger::Scheduled => Some(RunTrigger::Scheduled),
        Trigger::CatchUp => Some(RunTrigger::CatchUp),
    }
}

fn trigger_to_proto(trigger: RunTrigger) -> pb::export_run::Trigger {
    use pb::export_run::Trigger;
    match trigger {
        RunTrigger::Manual => Trigger::Manual,
        RunTrigger::Scheduled => Trigger::Scheduled,
        RunTrigger::CatchUp => Trigger::CatchUp,
    }
}

fn reason_to_proto(reason: SkipReason) -> pb::export_run::SkipReason {
    use pb::export_run::SkipReason as Proto;
    match reason {
        SkipReason::Overlap => Proto::Overlap,
        SkipReason::Missed => Proto::Missed,
        SkipReason::ConnectionSuspended => Proto::ConnectionSuspended,
        SkipReason::CredentialRequired => Proto::CredentialRequired,
        SkipReason::CredentialExpired => Proto::CredentialExpired,
        SkipReason::NoRunner => Proto::NoRunner,
    }
}

/// A run, which is kept for `retention` after its end. Only administrators see the cause of a failure in detail.
pub fn to_proto(context: &OpContext, retention: Duration, run: Run) -> pb::ExportRun {
    let skipped = run.state == RunState::Skipped;
    let (failed, again) = (run.state == RunState::Failed, run.next_attempt_time.is_some());
    let failure = run.failure.as_ref();
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let kept = |time| Some(time).filter(|_| !context.validate_only).map(time_to_proto);
    let etag = Etag { uid: run.export.0, revision: run.export_revision }.encode(TokenKind::Etag);
    pb::ExportRun {
        name: if context.validate_only { String::new() } else { run.name.to_string() },
        uid: if context.validate_only { String::new() } else { run.name.uid.to_string() },
        state: state_to_proto(run.state).into(),
        trigger: trigger_to_proto(run.trigger).into(),
        skip_reason: run.skip_reason.map_or(pb::export_run::SkipReason::Unspecified, reason_to_proto).into(),
        skipped_count: if skipped { number(run.due_count) } else { 0 },
        schedule_time: run.schedule_time.map(time_to_proto),
        last_schedule_time: run.last_schedule_time.filter(|_| skipped).map(time_to_proto),
        create_time: kept(run.create_time),
        start_time: run.start_time.map(time_to_proto),
        end_time: run.end_time.map(time_to_proto),
        connection: run.connection_name.to_string(),
        connection_type: run.connection_type.name(),
        export_etag: if run.attempt == 0 { String::new() } else { etag },
        attempt: i32::try_from(run.attempt).unwrap_or(i32::MAX),
        stats: Some(pb::export_run::Stats {
            rows_read: number(run.stats.rows_read),
            rows_written: number(run.stats.rows_written),
            bytes_written: number(run.stats.bytes_written),
            files: i32::try_from(run.stats.files).unwrap_or(i32::MAX),
            rows_estimated: run.stats.rows_estimated.map(number),
        }),
        error: failure.filter(|_| failed).map(|failure| failure_to_proto(failure.code)),
        admin_detail: failure
            .filter(|_| context.actor.has(Role::Admin))
            .map(|failure| failure.detail.clone())
            .unwrap_or_default(),
        next_attempt_time: run.next_attempt_time.filter(|_| failure.is_some()).map(time_to_proto),
        last_error: failure.filter(|_| again).map(|failure| failure_to_proto(failure.code)),
        export_display_name: run.export_display_name,
        principal: run.principal,
        expire_time: run.end_time.map(|end| time_to_proto(end + retention)),
    }
}

/// The runs of a batch, the exports that were left out, and the id.
pub fn batch_to_proto(context: &OpContext, retention: Duration, batch: BatchRuns) -> pb::BatchRunExportsResponse {
    let batch_id = batch.batch_id.filter(|_| !context.validate_only).map(|id| id.to_string()).unwrap_or_default();
    let runs = batch.runs.into_iter().map(|run| to_proto(context, retention, run)).collect();
    pb::BatchRunExportsResponse { runs, skipped: batch.skipped, batch_id }
}

/// A failure as callers see it.
pub fn failure_to_proto(code: FailureCode) -> pb::export_run::Error {
    let message = code.advice().to_owned();
    pb::export_run::Error { code: code_to_proto(code).into(), retryable: code.is_retryable(), message }
}

fn code_to_proto(code: FailureCode) -> pb::export_run::error::Code {
    use pb::export_run::error::Code;
    match code {
        FailureCode::DestinationUnreachable => Code::DestinationUnreachable,
        FailureCode::TlsFailed => Code::TlsFailed,
        FailureCode::HostKeyMismatch => Code::HostKeyMismatch,
        FailureCode::AuthenticationFailed => Code::AuthenticationFailed,
        FailureCode::DestinationDenied => Code::DestinationDenied,
        FailureCode::DestinationFull => Code::DestinationFull,
        FailureCode::DestinationRefused => Code::DestinationRefused,
        FailureCode::DestinationThrottled => Code::DestinationThrottled,
        FailureCode::AddressForbidden => Code::AddressForbidden,
        FailureCode::DatasetNotConfigured => Code::DatasetNotConfigured,
        FailureCode::DatasetUnavailable => Code::DatasetUnavailable,
        FailureCode::SourceChanged => Code::SourceChanged,
        FailureCode::FieldMissing => Code::FieldMissing,
        FailureCode::FieldTypeChanged => Code::FieldTypeChanged,
        FailureCode::ValueNotEncodable => Code::ValueNotEncodable,
        FailureCode::LimitExceeded => Code::LimitExceeded,
        FailureCode::TimedOut => Code::TimedOut,
        FailureCode::LeaseLost => Code::LeaseLost,
        FailureCode::CredentialRequired => Code::CredentialRequired,
        FailureCode::NoRunner => Code::NoRunner,
        FailureCode::Internal => Code::Internal,
    }
}
