//! Views of runs that the product and the reference have in common.

use outflow::grpc::proto as pb;
use pb::export_run::error::Code;
use pb::export_run::{Error, SkipReason, State, Stats, Trigger};

use super::operations::{Caller, Op, RunName};
use super::reference::{self, Affected, Export, Reference, Run};
use super::views::{Organization, ResponseView, some_time};

/// What the runner reports as the cause of a failure.
pub const DETAIL: &str = "refused by the test";

impl Organization {
    pub fn run(&self, run: &RunName) -> String {
        format!("{}/runs/{}", self.export(&run.export), run.uid)
    }
}

/// Reduces a run to the fields that the reference can predict.
pub fn comparable_run(mut run: pb::ExportRun) -> pb::ExportRun {
    let name = run.name.strip_suffix(&run.uid).expect("the name ends with the uid").to_owned();
    for error in run.error.iter_mut().chain(&mut run.last_error) {
        assert!(!std::mem::take(&mut error.message).is_empty(), "a failure says what to do");
    }
    assert!(run.create_time.is_some());
    pb::ExportRun {
        name,
        uid: String::new(),
        create_time: None,
        start_time: some_time(run.start_time.is_some()),
        end_time: some_time(run.end_time.is_some()),
        expire_time: some_time(run.expire_time.is_some()),
        next_attempt_time: some_time(run.next_attempt_time.is_some()),
        // Compared with the etag of the export in that revision.
        export_etag: String::new(),
        ..run
    }
}

fn error(is_permanent: bool) -> Error {
    let code = if is_permanent { Code::FieldMissing } else { Code::DestinationUnreachable };
    Error { code: code.into(), retryable: !is_permanent, message: String::new() }
}

fn state(run: &Run) -> State {
    match run.state {
        reference::State::Queued => State::Queued,
        reference::State::Running => State::Running,
        reference::State::Succeeded => State::Succeeded,
        reference::State::Failed => State::Failed,
        reference::State::Cancelling => State::Cancelling,
        reference::State::Cancelled => State::Cancelled,
        reference::State::Skipped => State::Skipped,
    }
}

fn trigger(run: &Run) -> Trigger {
    match (run.due, run.is_late) {
        (None, _) => Trigger::Manual,
        (Some(_), false) => Trigger::Scheduled,
        (Some(_), true) => Trigger::CatchUp,
    }
}

impl Reference {
    /// A run, as the product should return it to a caller.
    pub fn run(&self, organization: &Organization, caller: Caller, run: &Run) -> pb::ExportRun {
        let export = self.exports.iter().find(|(_, export)| export.incarnation == run.export);
        let state = state(run);
        let is_skipped = state == State::Skipped;
        let waits_again = state == State::Queued && run.failure.is_some();
        pb::ExportRun {
            name: format!("{}/runs/", organization.export(export.map_or("-", |(id, _)| id))),
            export_display_name: run.display_name.clone(),
            state: state.into(),
            trigger: trigger(run).into(),
            skip_reason: match run.skip_reason {
                "OVERLAP" => SkipReason::Overlap,
                "MISSED" => SkipReason::Missed,
                "CONNECTION_SUSPENDED" => SkipReason::ConnectionSuspended,
                "CREDENTIAL_REQUIRED" => SkipReason::CredentialRequired,
                "CREDENTIAL_EXPIRED" => SkipReason::CredentialExpired,
                _ => SkipReason::Unspecified,
            }
            .into(),
            skipped_count: if is_skipped { run.due_count } else { 0 },
            principal: run.principal.subject(),
            schedule_time: run.due.map(|due| organization.due_time(due)),
            last_schedule_time: run.last_due.map(|due| organization.due_time(due)),
            start_time: some_time(run.attempt > 0),
            end_time: some_time(run.is_final()),
            expire_time: some_time(run.is_final()),
            connection: organization.connection(&run.connection.0),
            connection_type: "connectionTypes/sftp".to_owned(),
            attempt: run.attempt.cast_signed(),
            stats: Some(Stats {
                rows_read: run.rows.cast_signed(),
                rows_written: run.rows.cast_signed(),
                bytes_written: run.rows.cast_signed(),
                files: i32::try_from(run.rows).expect("a small number"),
                rows_estimated: run.estimated.map(u64::cast_signed),
            }),
            error: run.failure.filter(|_| state == State::Failed).map(error),
            admin_detail: if caller == Caller::Root && run.failure.is_some() {
                DETAIL.to_owned()
            } else {
                String::new()
            },
            next_attempt_time: some_time(waits_again),
            last_error: run.failure.filter(|_| waits_again).map(error),
            ..pb::ExportRun::default()
        }
    }

    /// The newest run of an export, as the product should show it in the export.
    pub fn last_run(
        &self,
        organization: &Organization,
        caller: Caller,
        export: &Export,
    ) -> Option<pb::export::LastRun> {
        let newest = self.runs.iter().rev().find(|run| run.export == export.incarnation)?;
        let pb::ExportRun { name, state, end_time, error, .. } = self.run(organization, caller, newest);
        Some(pb::export::LastRun { name, state, create_time: None, end_time, error })
    }

    /// The response of a call about runs.
    pub fn run_response(
        &self,
        organization: &Organization,
        caller: Caller,
        op: &Op,
        affected: &Affected,
    ) -> ResponseView {
        let view = |number: &usize| self.run(organization, caller, &self.runs[*number]);
        match op {
            Op::ListRuns { export, state: wanted, trigger: wanted_trigger, connection } => {
                let export = export.as_ref().map(|id| self.exports[id].incarnation);
                let is_wanted = |run: &&Run| {
                    export.is_none_or(|export| run.export == export)
                        && (*wanted == 0 || *wanted == i32::from(state(run)))
                        && (*wanted_trigger == 0 || *wanted_trigger == i32::from(trigger(run)))
                        && connection.as_ref().is_none_or(|id| *id == run.connection.0)
                };
                let found = self.runs.iter().rev().filter(is_wanted);
                ResponseView::Runs(found.map(|run| self.run(organization, caller, run)).collect())
            }
            Op::BatchRun { .. } | Op::RunScheduled => {
                ResponseView::Started(affected.runs.iter().map(view).collect(), organization.exports(&affected.skipped))
            }
            _ => ResponseView::Run(Box::new(view(&affected.runs[0]))),
        }
    }
}
