//! Benchmark of schedules: the CPU time of PreviewSchedule, and of CreateExport with a cron expression beside one without.
//! Both include the client and, with SQLite, the database.

use std::time::Duration;

use outflow::grpc::proto as pb;

use crate::cpu_time::cpu_time;
use crate::rounds::{median, rounds};
use crate::support::{Client, Clients as _, TestServer, create_export, cron, parent};

/// Expressions that fire often, rarely and never, and those with many rules.
const EXPRESSIONS: [&str; 8] = [
    "* * * * *",
    "*/15 * * * *",
    "0 6 * * MON",
    "30 2 * * *",
    "0 0 29 2 *",
    "0 0 L 2 *",
    "0 0 31 2,4,6,9,11 *",
    "1,7,13,59 0,5-9/2,23 1-7,L 1,2,12 MON#1,FRI",
];
const TIME_ZONE: &str = "America/Havana";
/// The number of occurrences of a preview.
const OCCURRENCES: i32 = 100;
/// The number of previews of an expression.
const PREVIEWS: u32 = 400;
/// The number of calls with and without an expression in a round.
const CREATIONS: u32 = 1_000;

/// Runs the benchmark.
pub async fn run(server: &TestServer) {
    let mut admin = server.admin().await;
    for expression in EXPRESSIONS {
        preview(&mut admin, expression).await;
    }
    let connection = admin.shared_connection("Scheduled").await.name;
    let (mut plain, mut scheduled, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // One round more, to warm up.
    for round in 0..=rounds() {
        let without = create(&mut admin, &connection, None).await;
        let with = create(&mut admin, &connection, Some(cron("*/15 6-18 * * MON-FRI", TIME_ZONE))).await;
        if round > 0 {
            plain.push(without);
            scheduled.push(with);
            ratios.push(with / without);
        }
    }
    println!(
        "  CreateExport without a schedule {:.0} µs of CPU time, with a cron expression {:.0} µs, ratio {:.2}",
        median(plain),
        median(scheduled),
        median(ratios)
    );
}

/// Previews an expression, and prints the CPU time of a call.
async fn preview(admin: &mut Client, expression: &str) {
    let request = pb::PreviewScheduleRequest {
        parent: parent(),
        schedule: Some(cron(expression, TIME_ZONE)),
        count: OCCURRENCES,
    };
    let (start, mut occurrences) = (cpu_time(), 0);
    for _ in 0..PREVIEWS {
        // An expression that never fires is refused.
        let response = admin.exports.preview_schedule(request.clone()).await;
        occurrences = response.map_or(0, |response| response.into_inner().occurrences.len());
    }
    let each = micros(cpu_time().saturating_sub(start) / PREVIEWS);
    println!("  PreviewSchedule {each:>4.0} µs of CPU time, {occurrences:>3} occurrences of {expression}");
}

/// Creates exports, and returns the CPU time of a call in microseconds.
async fn create(admin: &mut Client, connection: &str, schedule: Option<pb::Schedule>) -> f64 {
    let mut request = create_export(connection, "Weekly");
    request.export.as_mut().expect("an export").schedule = schedule;
    let start = cpu_time();
    for _ in 0..CREATIONS {
        admin.exports.create_export(request.clone()).await.expect("created");
    }
    micros(cpu_time().saturating_sub(start) / CREATIONS)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
