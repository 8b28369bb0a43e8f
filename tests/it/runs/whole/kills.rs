//! The process is killed, or told to stop, at any point of a delivery, and a new one repeats the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use outflow::grpc::proto as pb;
use pb::export_run::State;
use tokio::sync::Mutex;

use super::content::{Expected, FIRST_ID, Shape};
use super::far_side::{FarSide, Point};
use super::files::file_sides;
use super::postgresql::PostgresqlSide;
use super::service::{Files, Service, change, connect, create};
use super::webhook::WebhookSide;
use crate::support::{Backend, Gate};

/// Kills at each destination.
const KILLS: u64 = 20;
/// Signals to stop at each destination.
const DRAINS: u64 = 5;
/// The share of a delivery before its commit, at least.
const MAX_PART: f64 = 0.8;
/// The types of destinations.
const DESTINATIONS: u64 = 7;
/// Uploads whose id was not saved yet when the process was killed, in one round.
const MAX_UNKNOWN_UPLOADS: usize = 1;
/// The databases of the services that are killed.
const SERVICES: [(Backend, &str); 2] = [(Backend::Sqlite, "sqlite"), (Backend::Postgres, "postgres")];

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is killed.
    Kill,
    /// It is told to stop, and interrupts the delivery.
    Drain,
}

/// Looks at the far side all the time.
struct Observer {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Observer {
    fn start(far_side: &Arc<dyn FarSide>, area: &str, expected: &Arc<Expected>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (far_side, area, expected) = (Arc::clone(far_side), area.to_owned(), Arc::clone(expected));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut looks, mut was_delivered) = (0, false);
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let is_delivered = far_side.observe(&area, &expected).await;
                assert!(is_delivered || !was_delivered, "a result disappeared");
                was_delivered = is_delivered;
                looks += 1;
                // Leaves the processors to the delivery.
                tokio::time::sleep(begun.elapsed() * 4 + Duration::from_millis(1)).await;
            }
            looks
        });
        Self { stop, task }
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("nothing but whole results")
    }
}

/// An export of a service, and what its last run delivered.
struct Export {
    name: String,
    area: String,
    /// Bytes of a delivery that is not interrupted.
    total: u64,
    last: Arc<Expected>,
    unknown_uploads: usize,
}

/// What happened in the rounds.
#[derive(Default)]
struct Figures {
    /// Runs that the next process had to repeat.
    repeated: AtomicU64,
    /// Kills at a point of the commit.
    at_commit: AtomicU64,
    /// Kills after which the result was there.
    visible: AtomicU64,
    looks: AtomicU64,
    unknown_uploads: AtomicU64,
}

/// A service whose process ends during deliveries, and its exports.
struct Interrupted<'a> {
    service: Service,
    name: &'static str,
    connections: HashMap<&'static str, String>,
    exports: HashMap<(&'static str, Shape), Export>,
    figures: &'a Figures,
}

impl Interrupted<'_> {
    /// Starts a run, and returns it with what it must deliver.
    async fn run(&self, far_side: &dyn FarSide, export: &str, shape: Shape, first: i64) -> Expected {
        let run = self.service.admin().await.run(export).await.expect("queued");
        Expected::new(&run, shape, far_side.tables(shape), first)
    }

    /// Follows a run to its end, which must be a success.
    async fn follow(&self, expected: &Expected) -> pb::ExportRun {
        let run = self.service.admin().await.follow(&expected.run).await;
        let log = || self.service.process.output.lock().expect("its output").clone();
        assert_eq!(run.state(), State::Succeeded, "{run:?}\n{}", log());
        let rows = run.stats.map(|stats| stats.rows_written);
        assert_eq!(rows, Some(expected.count()), "{run:?}\n{}", log());
        run
    }

    /// Creates an export whose first run is not interrupted.
    async fn export(&mut self, far_side: &dyn FarSide, shape: Shape) -> Export {
        let kind = far_side.connection().connection_type;
        let mut admin = self.service.admin().await;
        let connection = match self.connections.get(kind) {
            Some(name) => name.clone(),
            None => connect(&mut admin, far_side).await,
        };
        self.connections.insert(kind, connection.clone());
        let area = format!("{}-{shape:?}", self.name).to_lowercase();
        let name = create(&mut admin, far_side, (&connection, shape, &area), FIRST_ID).await;
        far_side.interruption().arm(None, 0);
        let expected = self.run(far_side, &name, shape, FIRST_ID).await;
        self.follow(&expected).await;
        far_side.assert_delivered(&area, &expected).await;
        let total = far_side.interruption().counted().unwrap_or_else(|| expected.bytes());
        Export { name, area, total, last: Arc::new(expected), unknown_uploads: 0 }
    }

    /// Ends the process at a point of a delivery, and restarts it.
    async fn round(&mut self, far_side: &Arc<dyn FarSide>, number: u64, end: End, (shape, point): (Shape, Point)) {
        let key = (far_side.connection().connection_type, shape);
        let mut export = match self.exports.remove(&key) {
            Some(export) => export,
            None => self.export(far_side.as_ref(), shape).await,
        };
        let first = FIRST_ID + 1 + i64::try_from(number).expect("small");
        change(&mut self.service.admin().await, far_side.as_ref(), (&export.name, shape), first).await;
        far_side.prepare(shape, &export.area).await;
        eprintln!("{key:?} on {}: {point:?} of {} bytes", self.name, export.total);
        far_side.interruption().arm(Some(point), export.total);
        let mut expected = self.run(far_side.as_ref(), &export.name, shape, first).await;
        if shape == Shape::One {
            expected.earlier.clone_from(&export.last.files);
        }
        let expected = Arc::new(expected);
        let observer = Observer::start(far_side, &export.area, &expected);
        let mut admin = self.service.admin().await;
        let is_during = tokio::select! {
            () = far_side.interruption().reached() => true,
            _ = admin.follow(&expected.run) => false,
        };
        match end {
            End::Kill => self.service.kill(),
            End::Drain => {
                self.service.process.signal("TERM");
                if is_during {
                    self.service.wait_for_line("interrupting deliveries").await;
                }
                far_side.interruption().resume();
                self.service.wait().await;
            }
        }
        let is_visible = far_side.observe(&export.area, &expected).await;
        let saved = self.saved_uploads().await;
        if end == End::Drain {
            self.assert_drained(far_side.as_ref(), &export).await;
        }
        if !is_during {
            // It has fewer bytes than the first, which creates folders.
            export.total = far_side.interruption().counted().unwrap_or(export.total);
        }
        far_side.interruption().release();
        self.service.restart();
        let run = self.follow(&expected).await;
        let looks = observer.stop().await;
        eprintln!(
            "{key:?}: {end:?} during the delivery: {is_during}, visible then: {is_visible}, attempt {}",
            run.attempt
        );
        assert!(looks > 0, "nobody looked");
        // A commit is not interrupted, and nothing can be held in a local directory.
        let must_repeat = end == End::Drain && is_during && matches!(point, Point::Anywhere(part) if part < MAX_PART);
        assert!(run.attempt > 1 || !must_repeat || key.0 == "local_directory", "the delivery was not interrupted");
        far_side.assert_delivered(&export.area, &expected).await;
        let unknown = far_side.uploads(&export.area).await - export.unknown_uploads;
        assert!(unknown <= if saved { 0 } else { MAX_UNKNOWN_UPLOADS }, "{unknown} uploads remain");
        export.unknown_uploads += unknown;
        export.last = expected;
        // More than two if the machine is so slow that leases expire.
        self.figures.repeated.fetch_add(u64::from(run.attempt > 1), Ordering::Relaxed);
        let is_at_commit = is_during && matches!(point, Point::Commit(_));
        self.figures.at_commit.fetch_add(u64::from(is_at_commit), Ordering::Relaxed);
        self.figures.visible.fetch_add(u64::from(is_visible), Ordering::Relaxed);
        self.figures.looks.fetch_add(looks, Ordering::Relaxed);
        self.figures.unknown_uploads.fetch_add(unknown as u64, Ordering::Relaxed);
        self.exports.insert(key, export);
    }

    /// Panics if a process that was told to stop left anything, or if an attempt counts as failed.
    async fn assert_drained(&self, far_side: &dyn FarSide, export: &Export) {
        let found = far_side.list(&export.area).await;
        assert!(found.iter().all(|path| !path.contains(".part-")), "{found:?}");
        assert_eq!(far_side.uploads(&export.area).await, export.unknown_uploads, "uploads remain");
        let bad = "SELECT count(*) FROM runs WHERE failures > 0 OR lease_owner IS NOT NULL";
        assert_eq!(self.service.database().await.fetch_count(bad).await, 0, "an attempt failed or holds its lease");
    }

    /// Whether the run that is being delivered saved the id of an upload.
    async fn saved_uploads(&self) -> bool {
        let query = "SELECT count(*) FROM runs WHERE state = 'RUNNING' AND delivery_state LIKE '%\"id\":%'";
        self.service.database().await.fetch_count(query).await > 0
    }
}

/// All far sides. One of them serves one delivery at a time.
async fn far_sides(outbox: &std::path::Path) -> Vec<Mutex<Arc<dyn FarSide>>> {
    let areas = SERVICES.map(|(_, name)| ["one", "several"].map(|shape| format!("{name}-{shape}"))).concat();
    let areas: Vec<&str> = areas.iter().map(String::as_str).collect();
    let mut all: Vec<Arc<dyn FarSide>> = Vec::new();
    for side in file_sides(outbox).await {
        all.push(side);
    }
    all.push(Arc::new(WebhookSide::start().await));
    all.push(Arc::new(PostgresqlSide::start(&areas).await));
    all.into_iter().map(Mutex::new).collect()
}

/// Runs the rounds of a gate, on both databases at the same time.
async fn interrupt(gate: &Gate, end: End, figures: &Figures) {
    let outbox = tempfile::tempdir().expect("a directory");
    let far_sides = far_sides(outbox.path()).await;
    assert_eq!(far_sides.len() as u64, DESTINATIONS);
    let mut authorities = String::new();
    for far_side in &far_sides {
        authorities += &far_side.lock().await.authorities();
    }
    let interrupt = async |(backend, name)| {
        let service = Service::start(backend, Files::new(), outbox.path(), &authorities).await;
        let (connections, exports) = (HashMap::new(), HashMap::new());
        let mut interrupted = Interrupted { service, name, connections, exports, figures };
        while let Some(number) = gate.next() {
            let (index, cycle) = (number % DESTINATIONS, number / DESTINATIONS);
            let shape = if cycle.is_multiple_of(2) { Shape::One } else { Shape::Several };
            let part = rand::random::<f64>();
            let is_at_end = (cycle / 2 + index).is_multiple_of(2);
            let point = if is_at_end { Point::Commit(part) } else { Point::Anywhere(part) };
            let far_side = far_sides[usize::try_from(index).expect("small")].lock().await;
            Box::pin(interrupted.round(&far_side, number, end, (shape, point))).await;
        }
    };
    tokio::join!(interrupt(SERVICES[0]), interrupt(SERVICES[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_process_leaves_nothing_in_part_and_the_next_one_delivers_once() {
    let gate = Gate::new("KILL, deliveries", KILLS * DESTINATIONS).at_least(DESTINATIONS);
    let figures = Figures::default();
    interrupt(&gate, End::Kill, &figures).await;
    let count = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    let (repeated, visible) = (count(&figures.repeated), count(&figures.visible));
    let at_commit = count(&figures.at_commit);
    let (looks, unknown) = (count(&figures.looks), count(&figures.unknown_uploads));
    assert!(2 * repeated > gate.reached(), "only {repeated} deliveries were interrupted");
    assert!(5 * at_commit > gate.reached(), "only {at_commit} commits were interrupted");
    gate.report(&format!(
        " at {DESTINATIONS} destinations, {at_commit} at the commit, {repeated} runs repeated, {visible} killed after the result was visible, {looks} looks \
         meanwhile, {unknown} uploads without a saved id"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drained_process_leaves_nothing_at_any_destination() {
    let gate = Gate::new("DRAIN, destinations", DRAINS * DESTINATIONS).at_least(DESTINATIONS);
    let figures = Figures::default();
    interrupt(&gate, End::Drain, &figures).await;
    let repeated = figures.repeated.load(Ordering::Relaxed);
    assert!(repeated > 0, "no delivery was interrupted");
    gate.report(&format!(" at {DESTINATIONS} destinations, {repeated} runs repeated"));
}
