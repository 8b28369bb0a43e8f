//! DETACH: calls that take an export away, or change it, concurrently with the lease and the commit of its run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use outflow::grpc::proto as pb;
use parking_lot::Mutex;
use pb::payload_field::Transform;
use rand::RngExt as _;
use uuid::Uuid;

use super::log::{Change, RunLog};
use super::{sftp, uid_of, until};
use crate::destinations::sftp::{Login, OpenSsh};
use crate::runs::shared::{Shared, export_of, field, results_below};
use crate::support::{Backend, Client, Clients as _, ErrorExt as _, Gate, TestServer};

/// Rounds on each database.
const ROUNDS: u64 = 1_000;
/// Rows of each export.
const ROWS: usize = 5_000;
/// The longest time from the creation of a run to the call: the interval of the dispatcher.
const MAX_QUEUED_MS: u64 = 500;
/// The longest time from the start of a run to the call, for a local directory and for the SFTP server.
const MAX_RUNNING_MS: [u64; 2] = [60, 300];

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Detach,
    Suspend,
    Revoke,
    EditExport,
    EditConnection,
}

const KINDS: [Kind; 5] = [Kind::Detach, Kind::Suspend, Kind::Revoke, Kind::EditExport, Kind::EditConnection];

impl Kind {
    /// Whether the run is delivered to the SFTP server, as connections with credentials are needed.
    fn uses_sftp(self) -> bool {
        matches!(self, Self::Revoke | Self::EditConnection)
    }
}

/// Replicas, which deliver to local directories and to an SFTP server.
struct Setup {
    replicas: Vec<TestServer>,
    shared: Shared,
    ssh: OpenSsh,
    /// A login, and one with another key.
    logins: [Login; 2],
    log: RunLog,
    /// How often a call found a run in a state, and how the run ended.
    outcomes: Mutex<BTreeMap<(Kind, String, String), u64>>,
}

/// The subject of a round.
struct Round {
    admin: Client,
    kind: Kind,
    connection: pb::Connection,
    export: String,
    run: Uuid,
    /// Where results lie with the first configuration, and with the second.
    results: [PathBuf; 2],
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_call_no_run_starts_or_commits_with_what_it_took_away() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let setup = Setup::start(backend).await;
        let gate = Gate::new(format!("DETACH {backend:?}"), ROUNDS);
        gate.run(async |number| setup.round(number).await).await;
        let outcomes = setup.outcomes.lock().clone();
        let figures =
            outcomes.iter().map(|((kind, then, end), count)| format!("\n  {kind:?}: {then}, then {end}: {count}"));
        gate.report(&figures.collect::<String>());
        setup.replicas[0].check_rows().await;
    }
}

impl Setup {
    async fn start(backend: Backend) -> Self {
        let shared = Shared::new(backend, &[sftp::ALLOWED, ("run_lease", "10h")]).await;
        shared.add_table("members", ROWS);
        // The first replica renews leases for commits only, so that the log shows when a commit began.
        let mut replicas = vec![shared.server(&[("run_heartbeat", "3h")]).await];
        if backend == Backend::Postgres {
            replicas.push(shared.server(&[("run_heartbeat", "50ms")]).await);
        }
        let ssh = OpenSsh::start();
        for directory in ["old", "new"] {
            ssh.create_directory(directory);
        }
        let other = ssh.user_key("ed25519", "", "", None);
        let logins = [ssh.login(), ssh.login().private_key(&other, None)];
        let log = RunLog::begin(replicas[0].database().await).await;
        Self { replicas, shared, ssh, logins, log, outcomes: Mutex::default() }
    }

    async fn round(&self, number: u64) {
        let mut round = self.begin(number).await;
        // In every second round the call comes during the delivery, or soon after it.
        let max_delay = if (number / KINDS.len() as u64).is_multiple_of(2) {
            MAX_QUEUED_MS
        } else {
            until("the start of a run", async || self.log.state(round.run).await.0 != "QUEUED").await;
            MAX_RUNNING_MS[usize::from(round.kind.uses_sftp())]
        };
        let delay = rand::rng().random_range(0..max_delay);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        round.call(&self.logins[1]).await;
        let (acknowledged, _) = self.log.state(round.run).await;
        let ended = ["SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"];
        until("the end of a run", async || ended.contains(&self.log.state(round.run).await.0.as_str())).await;

        let changes = self.log.changes_of(round.run).await;
        let end = match round.kind {
            Kind::Detach | Kind::Suspend | Kind::Revoke => round.check_taken_away(&acknowledged, &changes).await,
            Kind::EditExport | Kind::EditConnection => self.check_edited(&round, &acknowledged, &changes).await,
        };
        *self.outcomes.lock().entry((round.kind, acknowledged, end)).or_default() += 1;
    }

    /// Creates a connection and an export of its own, and starts a run.
    async fn begin(&self, number: u64) -> Round {
        let kind = KINDS[usize::try_from(number).expect("a number") % KINDS.len()];
        let mut admin = self.replicas[0].admin().await;
        let place = format!("r{number}");
        let (connection, folder, results) = if kind.uses_sftp() {
            let folder = format!("{place}/old");
            let path = |directory: &str| self.ssh.directory().join(directory).join(&folder);
            let old = self.ssh.directory().join("old");
            let connection = admin.sftp_to(&self.logins[0], old.to_str().expect("a path")).await;
            (connection, folder.clone(), [path("old"), path("new")])
        } else {
            let below = self.shared.outbox.join(&place);
            (admin.local_directory(&place).await, "old".to_owned(), [below.join("old"), below.join("new")])
        };
        let export = export_of(&connection.name, "members", vec![field("id", Transform::None)], &folder);
        let export = admin.create(export).await;
        let run = uid_of(&admin.run(&export).await.expect("queued").name);
        Round { admin, kind, connection, export, run, results }
    }

    /// Checks that a run delivered with one configuration, as a whole.
    async fn check_edited(&self, round: &Round, acknowledged: &str, changes: &[Change]) -> String {
        assert_eq!(changes.last().map(|change| change.after.as_str()), Some("SUCCEEDED"), "{changes:?}");
        let found = round.results.each_ref().map(|folder| results_below(folder));
        let (is_new, text) = match &found {
            [old, new] if old.len() == 1 && new.is_empty() => (false, &old[0].text),
            [old, new] if old.is_empty() && new.len() == 1 => (true, &new[0].text),
            _ => panic!("{:?}: {} and {} results", round.kind, found[0].len(), found[1].len()),
        };
        assert!(is_new || acknowledged != "QUEUED", "a run that started after the edit used the old configuration");
        if round.kind == Kind::EditExport {
            let header = text.lines().next().expect("a header");
            assert_eq!(header, if is_new { "id,email" } else { "id" }, "a mixed configuration");
            let revisions: Vec<(i64, i64)> = {
                let query = "SELECT r.export_revision, e.revision FROM runs r JOIN exports e \
                             ON e.organization = r.organization AND e.uid = r.export_uid";
                let condition = format!("{query} WHERE e.id = '{}'", round.export.rsplit('/').next().expect("an id"));
                self.log.database().fetch_rows(&condition).await
            };
            let [(used, current)] = revisions.as_slice() else { panic!("{revisions:?}") };
            assert_eq!(used == current, is_new, "the revision of the run is not that of its result");
        }
        if is_new { "delivered with the new configuration" } else { "delivered with the old one" }.to_owned()
    }
}

impl Round {
    async fn call(&mut self, login: &Login) {
        let (admin, name) = (&mut self.admin, self.connection.name.clone());
        match self.kind {
            Kind::Detach => {
                let request = pb::DetachExportRequest { name: self.export.clone(), ..Default::default() };
                admin.exports.detach_export(request).await.expect("detached");
            }
            Kind::Suspend => {
                let request = pb::SuspendConnectionRequest { name, ..Default::default() };
                admin.connections.suspend_connection(request).await.expect("suspended");
            }
            Kind::Revoke => {
                let request = pb::RevokeConnectionCredentialRequest { name, ..Default::default() };
                admin.connections.revoke_connection_credential(request).await.expect("revoked");
            }
            Kind::EditExport => {
                let fields = vec![field("id", Transform::None), field("email", Transform::None)];
                let export = pb::Export { name: self.export.clone(), ..export_of(&name, "members", fields, "new") };
                let request = pb::UpdateExportRequest { export: Some(export), ..Default::default() };
                admin.exports.update_export(request).await.expect("updated");
            }
            Kind::EditConnection => {
                // The credential is bound to the directory: with that of the other configuration it cannot be opened.
                let directory = login.directory.clone() + "/new";
                let connection = pb::Connection { name, ..sftp::connection(login, &directory) };
                let request = pb::UpdateConnectionRequest {
                    connection: Some(connection),
                    credential: Some(sftp::credential(login)),
                    ..Default::default()
                };
                admin.connections.update_connection(request).await.expect("updated");
            }
        }
    }

    /// Checks that a run did not start, and did not begin to commit, after the call.
    async fn check_taken_away(&mut self, acknowledged: &str, changes: &[Change]) -> String {
        assert!(!["QUEUED", "RUNNING"].contains(&acknowledged), "{:?}: {acknowledged} after the call", self.kind);
        for pair in changes.windows(2) {
            assert_eq!(pair[0].after, pair[1].before, "{changes:?}");
        }
        let started = changes.iter().filter(|change| change.before == "QUEUED" && change.after == "RUNNING").count();
        let results = results_below(&self.results[0]);
        // A commit renews the lease first.
        let committed =
            changes.iter().any(|change| change.before == "RUNNING" && change.after == "RUNNING" && change.renewed);
        let end = changes.last().expect("an end").after.as_str();
        match end {
            "SUCCEEDED" => {
                assert_eq!((results.len(), started), (1, 1), "{changes:?}");
                assert!(committed, "{:?}: a commit began after the call: {changes:?}", self.kind);
            }
            "CANCELLED" | "SKIPPED" => {
                assert!(results.is_empty(), "{:?}: a result of a run that was {end}: {changes:?}", self.kind);
                assert!(end == "CANCELLED" || started == 0, "{changes:?}");
            }
            other => panic!("{:?}: a run is {other}: {changes:?}", self.kind),
        }
        let refused = self.admin.run(&self.export).await.expect_err("nothing can run");
        let reasons = ["EXPORT_INACTIVE", "CONNECTION_SUSPENDED", "CREDENTIAL_REQUIRED"];
        assert!(reasons.contains(&refused.reason().as_str()), "{refused:?}");
        end.to_owned()
    }
}
