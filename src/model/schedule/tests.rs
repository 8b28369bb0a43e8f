//! x
use super::*;
use chrono::*;
#[test]
fn bench() {
    let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    for e in [
        "*/15 * * * *",
        "0 6 * * MON",
        "0 0 29 2 *",
        "0 0 30 2 *",
        "0 0 * 2 MON#5",
        "0 0 1 1 *",
        "* * * * *",
        "0 0 31 2,4,6,9,11 *",
    ] {
        let s = Schedule {
            timing: Timing::Cron {
                expression: e.into(),
                time_zone: "Europe/Berlin".into(),
                skipped_time: Default::default(),
                repeated_time: Default::default(),
            },
            enabled: true,
            start_time: None,
            end_time: None,
            jitter: None,
            overlap_policy: Default::default(),
            catchup_window: None,
            pause_after_failures: None,
        };
        let t = std::time::Instant::now();
        let ev = Evaluator::new(&s, now).unwrap();
        let a = t.elapsed();
        let t = std::time::Instant::now();
        let n = ev.next_after(now);
        let b = t.elapsed();
        let t = std::time::Instant::now();
        let r = s.check("p", std::time::Duration::ZERO, now, now).is_ok();
        let c = t.elapsed();
        println!("{e} new {a:?} next {b:?} check {c:?} {r} {:?}", n.map(|n| n.local_time));
    }
}
