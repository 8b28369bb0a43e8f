//! Runs the contenders in turn, round by round, and prints their rates and ratios.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::is_wanted;
use crate::support::Client;

/// The names of the contenders, in the order in which they are run.
pub const CONTENDERS: [&str; 3] = ["service", "seaorm", "sqlx"];
/// The contenders of calls that the bare server with sqlx does not have.
pub const WITHOUT_SQLX: [&str; 2] = ["service", "seaorm"];

/// The number of rounds: `BENCH_ROUNDS`, or 5.
pub fn rounds() -> usize {
    std::env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// Runs the contenders in turn; `run` makes `count` calls to the contender of an index. The first round is a warm-up.
pub async fn compare(what: &str, count: u64, contenders: &[&str], run: impl AsyncFn(usize)) {
    let mut rates = vec![Vec::new(); contenders.len()];
    for round in 0..=rounds() {
        for (contender, rates) in rates.iter_mut().enumerate() {
            if !is_wanted(&CONTENDERS, contenders[contender]) {
                continue;
            }
            let start = Instant::now();
            run(contender).await;
            if round > 0 {
                rates.push(per_second(count, start.elapsed()));
            }
        }
    }
    for (contender, name) in contenders.iter().enumerate().filter(|(contender, _)| !rates[*contender].is_empty()) {
        let rate = median(rates[contender].clone());
        let ratios: Vec<f64> = rates[0].iter().zip(&rates[contender]).map(|(service, other)| service / other).collect();
        let ratio = if ratios.is_empty() { f64::NAN } else { median(ratios) };
        println!("  {what:<22} {name:<8} {rate:>10.0} /s   the service reaches {ratio:.2} of it");
    }
}

/// Makes `count` calls, `in_flight` at the same time. `call` gets a client and the number of the call.
pub async fn call_in_flight(clients: &[Client], count: u64, in_flight: u64, call: impl AsyncFn(&mut Client, usize)) {
    let call = &call;
    let workers = (0..in_flight).map(|worker| async move {
        let first = usize::try_from(worker).expect("small");
        let mut client = clients[first % clients.len()].clone();
        for number in (worker..count).step_by(usize::try_from(in_flight).expect("small")) {
            call(&mut client, usize::try_from(number).expect("small")).await;
        }
    });
    join_all(workers).await;
}

/// The rate of `count` calls.
fn per_second(count: u64, elapsed: Duration) -> f64 {
    f64::from(u32::try_from(count).expect("small")) / elapsed.as_secs_f64()
}

/// The median; of an even number of values the upper one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
