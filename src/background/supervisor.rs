//! Runs the background tasks, records their outcomes, and retries with backoff after an error or a panic.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use metrics::Counter;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::task::{Task, TaskError};
use crate::model::Clock;

/// The longest pause after a failure.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Outcomes of runs, as label values.
const SUCCESS: &str = "success";
const FAILURE: &str = "failure";

/// Runs tasks. Clones share their statuses.
#[derive(Clone)]
pub struct Supervisor {
    clock: Clock,
    statuses: Arc<Mutex<BTreeMap<&'static str, TaskStatus>>>,
}

/// Statistics of the runs of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStatus {
    /// When the task last succeeded.
    pub last_success: Option<DateTime<Utc>>,
    /// How long its last run took.
    pub last_duration: Duration,
    /// Runs that succeeded.
    pub successes: u64,
    /// Runs that failed or panicked.
    pub failures: u64,
}

impl Supervisor {
    /// A supervisor without tasks.
    pub fn new(clock: Clock) -> Self {
        Self { clock, statuses: Arc::default() }
    }

    /// The statuses of the tasks by their names.
    pub fn statuses(&self) -> BTreeMap<&'static str, TaskStatus> {
        self.statuses.lock().clone()
    }

    /// Runs tasks until `stop` is cancelled. It returns earlier only if the loop of a task itself panicked; the panics
    /// of a run are caught.
    pub async fn run(self, tasks: Vec<Arc<dyn Task>>, stop: CancellationToken) {
        let mut loops = JoinSet::new();
        for task in tasks {
            let name = task.name();
            self.statuses.lock().insert(name, TaskStatus::default());
            for outcome in [SUCCESS, FAILURE] {
                runs(name, outcome).increment(0);
            }
            loops.spawn(self.clone().run_until_stopped(task, stop.clone()));
        }
        while let Some(ended) = loops.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the loop of a background task panicked");
                return;
            }
        }
    }

    async fn run_until_stopped(self, task: Arc<dyn Task>, stop: CancellationToken) {
        let mut consecutive_failures = 0;
        loop {
            let pause = pause(&*task, consecutive_failures);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = task.requested() => {}
            }
            let succeeded = tokio::select! {
                () = stop.cancelled() => return,
                succeeded = self.run_once(&*task) => succeeded,
            };
            consecutive_failures = if succeeded { 0 } else { consecutive_failures + 1 };
        }
    }

    /// Runs a task once and records the outcome.
    async fn run_once(&self, task: &dyn Task) -> bool {
        let name = task.name();
        let started = Instant::now();
        let span = tracing::info_span!(target: "otel", "background_task", otel.name = name);
        let run = AssertUnwindSafe(task.run_once()).catch_unwind().instrument(span);
        let result = run.await.unwrap_or_else(|panic| Err(panic_error(&*panic)));
        let duration = started.elapsed();
        runs(name, if result.is_ok() { SUCCESS } else { FAILURE }).increment(1);
        metrics::histogram!("background.task.duration", "task" => name).record(duration);
        let mut statuses = self.statuses.lock();
        let status = statuses.entry(name).or_default();
        status.last_duration = duration;
        match result {
            Ok(()) => {
                status.successes += 1;
                let now = self.clock.now();
                status.last_success = Some(now);
                metrics::gauge!("background.task.last_success", "task" => name).set(unix_seconds(now));
                true
            }
            Err(error) => {
                status.failures += 1;
                tracing::warn!(task = name, %error, "a background task failed");
                false
            }
        }
    }
}

fn runs(task: &'static str, outcome: &'static str) -> Counter {
    metrics::counter!("background.task.runs", "task" => task, "outcome" => outcome)
}

/// The pause before the next run: the interval of the task, or its backoff after failures.
fn pause(task: &dyn Task, consecutive_failures: u32) -> Duration {
    let interval = task.interval();
    match consecutive_failures {
        0 => interval,
        failures => {
            let min = task.min_backoff();
            let backoff = min.saturating_mul(2_u32.saturating_pow(failures - 1));
            backoff.min(interval).min(MAX_BACKOFF.max(min))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; exact up to 2^53 seconds")]
fn unix_seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp() as f64
}

fn panic_error(panic: &(dyn Any + Send)) -> TaskError {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", message.unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Does nothing, at an interval and with a minimum backoff.
    struct Idle(Duration, Duration);

    #[async_trait::async_trait]
    impl Task for Idle {
        fn name(&self) -> &'static str {
            "idle"
        }

        fn interval(&self) -> Duration {
            self.0
        }

        fn min_backoff(&self) -> Duration {
            self.1
        }

        async fn run_once(&self) -> Result<(), TaskError> {
            Ok(())
        }
    }

    #[test]
    fn a_backoff_is_at_least_its_minimum_and_at_most_the_interval() {
        let pauses = |interval, min_backoff| {
            let task = Idle(Duration::from_secs(interval), Duration::from_secs(min_backoff));
            [0, 1, 2, 3, 40].map(|failures| pause(&task, failures).as_secs())
        };
        assert_eq!(pauses(600, 1), [600, 1, 2, 4, 30]);
        assert_eq!(pauses(1, 1), [1, 1, 1, 1, 1]);
        assert_eq!(pauses(5, 1), [5, 1, 2, 4, 5]);
        assert_eq!(pauses(300, 30), [300, 30, 30, 30, 30]);
    }

    /// Fails or panics in turn for the first runs, and reports the start of each run.
    struct Failing {
        starts: mpsc::UnboundedSender<Instant>,
        failures: u32,
        runs: Mutex<u32>,
    }

    #[async_trait::async_trait]
    impl Task for Failing {
        fn name(&self) -> &'static str {
            "failing"
        }

        fn interval(&self) -> Duration {
            Duration::from_mins(10)
        }

        async fn run_once(&self) -> Result<(), TaskError> {
            self.starts.send(Instant::now())?;
            let run = {
                let mut runs = self.runs.lock();
                *runs += 1;
                *runs
            };
            assert!(run > self.failures || run % 2 == 0, "run {run} panics");
            if run > self.failures { Ok(()) } else { Err("fails".into()) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failed_runs_are_counted_and_retried_with_backoff() {
        let (starts, mut started) = mpsc::unbounded_channel();
        let supervisor = Supervisor::new(Clock::default());
        let stop = CancellationToken::new();
        let task = Arc::new(Failing { starts, failures: 7, runs: Mutex::new(0) });
        let running = tokio::spawn(supervisor.clone().run(vec![task], stop.clone()));
        let mut last = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let start = started.recv().await.unwrap();
            pauses.push((start - last).as_secs());
            last = start;
        }
        assert_eq!(pauses, [600, 1, 2, 4, 8, 16, 30, 30, 600]);
        stop.cancel();
        running.await.unwrap();
        let status = supervisor.statuses()["failing"];
        assert_eq!((status.failures, status.successes), (7, 2));
        assert!(status.last_success.is_some());
    }
}
