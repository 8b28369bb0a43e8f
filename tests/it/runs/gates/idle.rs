//! IDLE: a due run starts soon on a service that has nothing else to do.

use outflow::grpc::proto as pb;
use outflow::model::Clock;

use super::until;
use crate::runs::shared::{Shared, export_of};
use crate::support::{Backend, Clients as _, Gate};

/// The longest time from the due time of a run to its start, by the clock of the database.
const MAX_DELAY_MS: i64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_due_run_starts_within_two_seconds_on_an_idle_service() {
    let shared = Shared::new(Backend::Postgres, &[]).await;
    let control = shared.server(&[("runs", "off")]).await;
    let _replica = shared.process(&[]).await;
    let database = control.database().await;
    let mut admin = control.admin().await;
    let connection = admin.local_directory("partner").await.name;
    let (gate, mut delays) = (Gate::new("IDLE", 5), Vec::new());
    while gate.next().is_some() {
        let mut export = super::due_once(export_of(&connection, "customers", Vec::new(), "weekly"));
        if let Some(pb::schedule::Timing::Interval(interval)) = export.schedule.as_mut().expect("set").timing.as_mut() {
            interval.anchor =
                Some(prost_types::Timestamp { seconds: Clock::default().now().timestamp() + 2, nanos: 0 });
        }
        admin.create(export).await;
        let started = "SELECT count(*) FROM runs WHERE start_time IS NOT NULL";
        let wanted = i64::try_from(delays.len()).expect("a count") + 1;
        until("the start of a run", async || database.fetch_count(started).await == wanted).await;
        let delay = "SELECT (extract(epoch FROM start_time - schedule_time) * 1000)::bigint FROM runs \
                     ORDER BY uid DESC LIMIT 1";
        delays.push(database.fetch_count(delay).await);
    }
    assert!(delays.iter().all(|delay| (0..=MAX_DELAY_MS).contains(delay)), "{delays:?} ms");
    gate.report(&format!(" due times; started after {delays:?} ms"));
}
