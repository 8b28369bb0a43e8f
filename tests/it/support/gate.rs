//! Gates: tests that run many rounds and print how many they ran.
//!
//! A gate ends after its number of rounds, or after 25 s unless `TEST_FULL` is set, which limits the time of the suite.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a gate may take, except in a full run.
const MAX_DURATION: Duration = Duration::from_secs(25);

/// Counts the rounds of a test.
pub struct Gate {
    name: String,
    wanted: u64,
    least: u64,
    started: AtomicU64,
    start: Instant,
}

impl Gate {
    /// Starts a gate of `wanted` rounds.
    pub fn new(name: impl Into<String>, wanted: u64) -> Self {
        Self { name: name.into(), wanted, least: 0, started: AtomicU64::new(0), start: Instant::now() }
    }

    /// Runs that many rounds in any case.
    pub fn at_least(self, rounds: u64) -> Self {
        Self { least: rounds, ..self }
    }

    /// Whether every gate runs all of its rounds: `TEST_FULL` is set.
    pub fn is_full() -> bool {
        std::env::var_os("TEST_FULL").is_some()
    }

    /// The number of the next round; `None` if all rounds were started or the time is up.
    pub fn next(&self) -> Option<u64> {
        if !Self::is_full() && self.start.elapsed() >= MAX_DURATION && self.reached() >= self.least {
            return None;
        }
        let round = self.started.fetch_add(1, Ordering::Relaxed);
        (round < self.wanted).then_some(round)
    }

    /// Runs the rounds, four at a time, and returns how many were run.
    pub async fn run(&self, round: impl AsyncFn(u64)) -> u64 {
        let worker = async || {
            while let Some(number) = self.next() {
                Box::pin(round(number)).await;
            }
        };
        tokio::join!(worker(), worker(), worker(), worker());
        self.reached()
    }

    /// How many rounds were started.
    pub fn reached(&self) -> u64 {
        self.started.load(Ordering::Relaxed).min(self.wanted)
    }

    /// Prints how many rounds were run, followed by `figures`. All of them passed: a failed round ends its test.
    pub fn report(&self, figures: &str) {
        let (name, reached, wanted) = (&self.name, self.reached(), self.wanted);
        assert!(reached > 0, "{name} ran no round");
        let seconds = self.start.elapsed().as_secs_f64();
        print_line(&format!("gate {name}: {reached} of {wanted} in {seconds:.1} s, 0 bad{figures}"));
    }
}

/// Prints a line to standard error directly: the test harness captures what `eprintln!` prints in passing tests.
pub fn print_line(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is open");
}
