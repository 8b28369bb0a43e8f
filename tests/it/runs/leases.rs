//! Which runs are leased: of the organizations in turn, and at most as many as the limits of a connection, of a connection
//! type and of an organization allow.

use std::sync::Arc;
use std::time::Duration;

use outflow::background::Task as _;
use outflow::grpc::proto as pb;
use outflow::model::{OrganizationId, Role};
use outflow::runs::{LeaseKeeper, LeaseTerms, lease};
use outflow::store::runs::FORMAT_VERSION;
use outflow::store::runs::queue::{LeaseLimits, organizations_with_queued};
use pb::export_run::State;
use pb::export_run::error::Code;
use uuid::Uuid;

use crate::support::{Client, Clients as _, TestServer, create_export, cron, on_both};

const PER_CONNECTION: u32 = 2;
const PER_CONNECTION_TYPE: u32 = 3;
const PER_ORGANIZATION: u32 = 4;

/// Queues the runs of that many exports on a connection.
async fn queue(admin: &mut Client, connection: &str, runs: u32) {
    for number in 0..runs {
        let export = admin.export(connection, &format!("Export {number} of {connection}")).await;
        admin.run(&export.name).await.expect("queued");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_leased_only_below_every_limit() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connections = [
            admin.connection("First").await.name,
            admin.connection("Second").await.name,
            admin.local_directory("first").await.name,
            admin.local_directory("second").await.name,
        ];
        for connection in &connections {
            queue(&mut admin, connection, 3).await;
        }
        let per_connection =
            ["sftp", "local_directory"].map(|connection_type| (connection_type.to_owned(), PER_CONNECTION));
        let limits = LeaseLimits {
            per_connection: per_connection.to_vec(),
            per_organization: PER_ORGANIZATION,
            per_connection_type: PER_CONNECTION_TYPE,
        };
        let duration = Duration::from_mins(1);
        let terms = Arc::new(LeaseTerms { owner: Uuid::new_v4(), duration, limits });
        let organization = OrganizationId::parse("acme").expect("an id");
        let mut leased = Vec::new();
        while let Some(next) = lease(server.app.store(), organization.clone(), &terms).await.expect("no error") {
            leased.push(next.run.connection_name.to_string());
        }
        // The oldest run first: two on the first connection, one more of its type, one of the other type.
        let [first, second, third, _] = &connections;
        assert_eq!(leased, [first, first, second, third].map(String::clone));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn organizations_with_runs_to_lease_are_found_in_order() {
    on_both(async |server: TestServer| {
        for organization in ["beta", "gamma", "alpha", "delta"] {
            let mut admin = server.caller(organization, "root", &[Role::Admin], &[]).await;
            for number in 0..2 {
                let export = admin.export_in(organization, &format!("Export {number}")).await;
                if organization != "gamma" {
                    admin.run(&export.name).await.expect("queued");
                }
            }
        }
        let store = server.app.store();
        let found = async |after: &str, limit| {
            let reader = store.reader(None);
            let found = organizations_with_queued(&reader, store.read_context(), after, limit).await.expect("found");
            found.iter().map(|organization| organization.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("", 10).await, ["alpha", "beta", "delta"]);
        assert_eq!(found("", 2).await, ["alpha", "beta"]);
        assert_eq!(found("alpha", 10).await, ["beta", "delta"]);
        assert_eq!(found("delta", 10).await, <[String; 0]>::default());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_always_loses_its_lease_fails_and_pauses_the_schedule() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let mut create = create_export(&connection, "Weekly");
        let schedule = pb::Schedule { pause_after_failures: 1, ..cron("0 6 * * MON", "Europe/Berlin") };
        create.export.as_mut().expect("an export").schedule = Some(schedule);
        let created = admin.exports.create_export(create).await.expect("created").into_inner();
        let export = created.export.expect("an export").name;
        let run = admin.run(&export).await.expect("queued").name;
        let limits =
            LeaseLimits { per_connection: vec![("sftp".to_owned(), 1)], per_organization: 1, per_connection_type: 1 };
        let terms = Arc::new(LeaseTerms { owner: Uuid::new_v4(), duration: Duration::ZERO, limits });
        let organization = OrganizationId::parse("acme").expect("an id");
        let keeper = LeaseKeeper::new(server.app.clone());
        let mut attempts = 0;
        while admin.read_run(&run).await.state() != State::Failed {
            assert_eq!(admin.read_export(&export).await.schedule_pause, None);
            attempts += 1;
            lease(server.app.store(), organization.clone(), &terms).await.expect("no error").expect("it is queued");
            keeper.run_once().await.expect("no error");
        }
        assert_eq!(attempts, 21, "it is repeated 20 times");
        let ended = admin.read_run(&run).await;
        assert_eq!(ended.error.expect("an error").code(), Code::LeaseLost);
        let pause = admin.read_export(&export).await.schedule_pause;
        assert_eq!(pause.expect("the schedule is paused").failures, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_later_release_is_not_leased() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        queue(&mut admin, &connection, 1).await;
        let limits =
            LeaseLimits { per_connection: vec![("sftp".to_owned(), 1)], per_organization: 1, per_connection_type: 1 };
        let terms = Arc::new(LeaseTerms { owner: Uuid::new_v4(), duration: Duration::from_mins(1), limits });
        let organization = OrganizationId::parse("acme").expect("an id");
        for (version, is_leased) in [(FORMAT_VERSION + 1, false), (FORMAT_VERSION, true)] {
            server.database().await.execute(&format!("UPDATE runs SET format_version = {version}")).await;
            let leased = lease(server.app.store(), organization.clone(), &terms).await.expect("no error");
            assert_eq!(leased.is_some(), is_leased, "{version}");
        }
    })
    .await;
}
