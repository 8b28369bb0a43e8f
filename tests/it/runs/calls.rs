//! Calls about runs. No replica executes them, so they stay queued.

use outflow::grpc::proto as pb;
use pb::export_run::{SkipReason, State, Trigger};
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, TestServer, cron, on_both, parent};

impl Client {
    /// Starts a run of an export.
    pub async fn run(&mut self, export: &str) -> Result<pb::ExportRun, tonic::Status> {
        let request = pb::RunExportRequest { name: export.to_owned(), ..pb::RunExportRequest::default() };
        Ok(self.exports.run_export(request).await?.into_inner().run.expect("answered"))
    }

    /// Reads a run.
    pub async fn read_run(&mut self, name: &str) -> pb::ExportRun {
        let request = pb::GetExportRunRequest { name: name.to_owned() };
        self.exports.get_export_run(request).await.expect("found").into_inner().run.expect("answered")
    }

    /// Lists the runs of an export, or of all exports.
    pub async fn runs(&mut self, parent: &str) -> Vec<pb::ExportRun> {
        let request = pb::ListExportRunsRequest { parent: parent.to_owned(), ..pb::ListExportRunsRequest::default() };
        self.exports.list_export_runs(request).await.expect("listed").into_inner().runs
    }

    async fn cancel(&mut self, run: &str) -> Result<pb::ExportRun, tonic::Status> {
        let request = pb::CancelExportRunRequest { name: run.to_owned(), ..pb::CancelExportRunRequest::default() };
        Ok(self.exports.cancel_export_run(request).await?.into_inner().run.expect("answered"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_queued_listed_and_cancelled() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let export = admin.export(&connection.name, "Weekly").await;
        let run = admin.run(&export.name).await.expect("queued");
        assert_eq!((run.state(), run.trigger(), run.attempt), (State::Queued, Trigger::Manual, 0));
        assert_eq!((run.connection.as_str(), run.principal.as_str()), (connection.name.as_str(), "root"));
        assert!(run.name.starts_with(&format!("{}/runs/", export.name)), "{}", run.name);
        assert_eq!(admin.read_run(&run.name).await, run);
        let last_run = admin.read_export(&export.name).await.last_run.expect("a run");
        assert_eq!((last_run.state(), last_run.name), (State::Queued, run.name.clone()));

        let refused = admin.run(&export.name).await.expect_err("one unfinished run at a time");
        assert_eq!((refused.code(), refused.reason().as_str()), (Code::FailedPrecondition, "RUN_IN_PROGRESS"));
        assert_eq!(refused.info("run"), run.name);

        let cancelled = admin.cancel(&run.name).await.expect("cancelled");
        assert_eq!(cancelled.state(), State::Cancelled);
        let kept =
            cancelled.expire_time.expect("it has ended").seconds - cancelled.end_time.expect("it has ended").seconds;
        assert_eq!((kept, run.expire_time), (90 * 24 * 60 * 60, None));
        assert_eq!(admin.cancel(&run.name).await.expect("nothing to do"), cancelled);
        let second = admin.run(&export.name).await.expect("the first has ended");
        assert_eq!(admin.runs(&export.name).await, [second.clone(), cancelled.clone()]);
        let unused = admin.export(&connection.name, "Never run").await;
        let listed =
            admin.exports.list_exports(pb::ListExportsRequest { parent: parent(), ..Default::default() }).await;
        let last_runs = listed.expect("listed").into_inner().exports.into_iter().map(|export| export.last_run);
        let names: Vec<_> = last_runs.map(|run| run.map(|run| (run.name, run.create_time))).collect();
        assert_eq!(names, [Some((second.name.clone(), second.create_time)), None], "of {} none", unused.name);
        assert_eq!(admin.runs(&format!("{}/exports/-", parent())).await, [second, cancelled]);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_cannot_run_is_refused_with_the_reason() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let export = admin.export(&connection.name, "Weekly").await;
        let name = connection.name.clone();
        let run = admin.run(&export.name).await.expect("queued");

        let suspend = pb::SuspendConnectionRequest { name: name.clone(), ..Default::default() };
        admin.connections.suspend_connection(suspend).await.expect("suspended");
        let skipped = admin.read_run(&run.name).await;
        assert_eq!((skipped.state(), skipped.skip_reason()), (State::Skipped, SkipReason::ConnectionSuspended));
        let refused = admin.run(&export.name).await.expect_err("suspended");
        assert_eq!(refused.reason(), "CONNECTION_SUSPENDED");
        let resume = pb::ResumeConnectionRequest { name: name.clone(), ..Default::default() };
        admin.connections.resume_connection(resume).await.expect("resumed");

        let run = admin.run(&export.name).await.expect("queued");
        let revoke = pb::RevokeConnectionCredentialRequest { name, ..Default::default() };
        admin.connections.revoke_connection_credential(revoke).await.expect("revoked");
        assert_eq!(admin.read_run(&run.name).await.skip_reason(), SkipReason::CredentialRequired);
        assert_eq!(admin.run(&export.name).await.expect_err("no credential").reason(), "CREDENTIAL_REQUIRED");

        let other = admin.connection("Other").await;
        let export = admin.export(&other.name, "Monthly").await;
        let run = admin.run(&export.name).await.expect("queued");
        let detach = pb::DetachExportRequest { name: export.name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        assert_eq!(admin.read_run(&run.name).await.state(), State::Cancelled);
        assert_eq!(admin.run(&export.name).await.expect_err("detached").reason(), "EXPORT_INACTIVE");
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_deleted_export_stay_readable_without_its_id() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let export = admin.export(&connection.name, "Weekly").await;
        let run = admin.run(&export.name).await.expect("queued");
        let delete = pb::DeleteExportRequest { name: export.name.clone(), ..Default::default() };
        admin.exports.delete_export(delete).await.expect("deleted");
        let request = pb::GetExportRunRequest { name: run.name.clone() };
        assert_eq!(admin.exports.get_export_run(request).await.expect_err("no such export").code(), Code::NotFound);
        let all = format!("{}/exports/-", parent());
        let kept = admin.runs(&all).await.pop().expect("kept");
        assert_eq!((kept.state(), kept.uid.as_str()), (State::Cancelled, run.uid.as_str()));
        assert_eq!(kept.name, format!("{all}/runs/{}", run.uid));
        assert_eq!(admin.read_run(&kept.name).await, kept);
        let mut viewer = server.viewer().await;
        assert_eq!(viewer.read_run(&kept.name).await, kept);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_scheduled_exports_run_and_those_that_cannot_are_named() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let suspended = admin.connection("Suspended").await;
        let mut names = Vec::new();
        for (connection, display_name) in [(&connection, "One"), (&connection, "Two"), (&suspended, "Three")] {
            let mut export = crate::support::export_on(&connection.name, display_name);
            export.schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
            let request = pb::CreateExportRequest {
                parent: parent(),
                export: Some(export),
                ..pb::CreateExportRequest::default()
            };
            names.push(admin.exports.create_export(request).await.expect("created").into_inner().export.unwrap().name);
        }
        admin.export(&connection.name, "Without a schedule").await;
        let suspend = pb::SuspendConnectionRequest { name: suspended.name, ..Default::default() };
        admin.connections.suspend_connection(suspend).await.expect("suspended");
        let request = pb::BatchRunExportsRequest { parent: parent(), all_scheduled: true, ..Default::default() };
        let batch = admin.exports.batch_run_exports(request).await.expect("queued").into_inner();
        assert_eq!(batch.skipped, [names[2].clone()]);
        let started: Vec<_> = batch.runs.iter().map(|run| run.name.split("/runs/").next().expect("a name")).collect();
        assert_eq!(started, [names[0].as_str(), names[1].as_str()]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_run_is_sent_at_each_change_until_it_has_ended() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let export = admin.export(&connection.name, "Weekly").await;
        let run = admin.run(&export.name).await.expect("queued");
        let request = pb::WatchExportRunRequest { name: run.name.clone() };
        let mut watched = admin.exports.watch_export_run(request).await.expect("a stream").into_inner();
        let first = watched.message().await.expect("a message").expect("not the end");
        assert_eq!(first.run.as_ref(), Some(&run));
        let cancelled = admin.cancel(&run.name).await.expect("cancelled");
        let last = watched.message().await.expect("a message").expect("not the end");
        assert_eq!(last.run, Some(cancelled));
        assert!(watched.message().await.expect("no error").is_none());
    })
    .await;
}
