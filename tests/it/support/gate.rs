//! Gates: a count to reach, and the figure that was reached.
//!
//! A gate ends at its count, or after 45 s unless `TEST_FULL` is set, so that the whole suite ends in time.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a gate may take, save in a full run.
const PATIENCE: Duration = Duration::from_secs(45);
/// Counts rounds.
pub struct Gate {
    name: String,
    wanted: u64,
    begun: AtomicU64,
    since: Instant,
}

impl Gate {
    /// A gate of `wanted` rounds.
    pub fn new(name: impl Into<String>, wanted: u64) -> Self {
        Self { name: name.into(), wanted, begun: AtomicU64::new(0), since: Instant::now() }
    }

    /// Whether this run is one of whole counts.
    pub fn is_full() -> bool {
        std::env::var_os("TEST_FULL").is_some()
    }

    /// The number of the next round; `None`: it is enough.
    pub fn next(&self) -> Option<u64> {
        if !Self::is_full() && self.since.elapsed() >= PATIENCE {
            return None;
        }
        let round = self.begun.fetch_add(1, Ordering::Relaxed);
        (round < self.wanted).then_some(round)
    }

    /// Runs the rounds, four at a time, and gives how many there were.
    pub async fn run(&self, round: impl AsyncFn(u64)) -> u64 {
        let worker = async || {
            while let Some(number) = self.next() {
                Box::pin(round(number)).await;
            }
        };
        tokio::join!(worker(), worker(), worker(), worker());
        self.reached()
    }

    /// How many rounds there were.
    pub fn reached(&self) -> u64 {
        self.begun.load(Ordering::Relaxed).min(self.wanted)
    }

    /// Tells what was reached. Every round that is told was passed: one that fails ends its test.
    pub fn tell(&self, more: &str) {
        let (name, reached, wanted) = (&self.name, self.reached(), self.wanted);
        assert!(reached > 0, "{name} reached nothing");
        say(&format!("gate {name}: {reached} of {wanted} in {:.1} s, 0 bad{more}", self.since.elapsed().as_secs_f64()));
    }
}

/// Prints a line past the capture of passing tests: figures are for whoever reads the run.
pub fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error takes a line");
}
