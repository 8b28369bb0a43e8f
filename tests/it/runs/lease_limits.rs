//! How many runs may be leased at once: on a connection, to connections of one type, and in an organization.

use std::sync::Arc;
use std::time::Duration;

use outflow::model::OrganizationId;
use outflow::runs::{LeaseTerms, lease};
use outflow::store::runs::leases::LeaseLimits;
use uuid::Uuid;

use crate::support::{Client, Clients as _, TestServer, on_both};

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
