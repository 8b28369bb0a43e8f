//! MODEL: runs random sequences of calls, and of steps of the scheduler and of a runner, and compares each response and
//! the whole state with a small reference.
//!
//! A sequence is determined by its seed. A failure prints the seed: `TEST_SEED=7` runs that sequence again, and seeds
//! that revealed a bug are kept in `REGRESSION_SEEDS`. `TEST_SEQUENCES=10000` runs more sequences.

mod calls;
mod choice;
mod operations;
mod reference;
mod run_calls;
mod run_views;
mod runner;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{SubsecRound as _, TimeDelta};
use outflow::grpc::proto as pb;
use outflow::model::Role;
use outflow::runs::LeaseTerms;
use prost_types::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

use crate::support::{Backend, Client, Clients as _, ErrorExt as _, Gate, TestServer};
use choice::Chooser;
use operations::{Caller, Etag, ListedSet, Op, RunName};
use reference::{Affected, Reference, State};
use run_views::comparable_run;
use runner::Attempt;
use views::{Organization, comparable_connection, comparable_export};

/// The number of sequences on each database.
const SEQUENCES: u64 = 300;
/// The number of calls in a sequence.
const STEPS: usize = 40;
/// How many hours a sequence may advance the clock; tokens and request ids must not expire.
const MAX_HOURS: u64 = 9;
/// Seeds that failed before; they are run first.
const REGRESSION_SEEDS: &[u64] = &[242];

/// The state of a running sequence.
struct Sequence<'a> {
    server: &'a TestServer,
    organization: Organization,
    clients: BTreeMap<Caller, Client>,
    reference: Reference,
    /// The etags that each resource has had, by resource id; the current one is last.
    etags: BTreeMap<String, Vec<String>>,
    /// The etag of each state, by incarnation and revision.
    etag_of_state: BTreeMap<(u64, u64), String>,
    /// The blocking sets that were listed, with the ids of their connections.
    listed: Vec<(String, ListedSet)>,
    /// Successful changes with a request id, which may be repeated.
    repeatable: Vec<(Caller, Op, String, Affected)>,
    /// The runs, in the order of the reference.
    run_names: Vec<RunName>,
    /// The attempts that the runner has not reported.
    attempts: Vec<Attempt>,
    /// Whether most operations concern runs: in every second sequence.
    mostly_runs: bool,
    terms: Arc<LeaseTerms>,
    /// The calls so far, as text.
    history: Vec<String>,
    /// The state of each run after the last operation.
    states: Vec<State>,
    /// The number of calls by outcome, and of changes of a run's state.
    outcomes: &'a mut BTreeMap<String, u64>,
}

impl<'a> Sequence<'a> {
    async fn new(server: &'a TestServer, seed: u64, outcomes: &'a mut BTreeMap<String, u64>) -> Self {
        let organization = format!("model-{seed}");
        let mut clients = BTreeMap::new();
        for (caller, subject, role, groups) in [
            (Caller::Root, "root", Role::Admin, &[][..]),
            (Caller::Ann, "ann", Role::Contributor, &["team"]),
            (Caller::Bob, "bob", Role::Contributor, &[]),
            (Caller::Vera, "vera", Role::Viewer, &["team"]),
        ] {
            clients.insert(caller, server.caller(&organization, subject, &[role], groups).await);
        }
        let organization = Organization { id: organization, begin: server.clock.now().trunc_subsecs(0) };
        Self {
            server,
            organization,
            clients,
            reference: Reference::default(),
            etags: BTreeMap::new(),
            etag_of_state: BTreeMap::new(),
            listed: Vec::new(),
            repeatable: Vec::new(),
            run_names: Vec::new(),
            attempts: Vec::new(),
            mostly_runs: seed.is_multiple_of(2),
            terms: runner::terms(),
            states: Vec::new(),
            history: Vec::new(),
            outcomes,
        }
    }

    /// Runs the sequence: about every eighth step repeats an earlier change.
    async fn run(&mut self, random: &mut StdRng) {
        for _ in 0..STEPS {
            let roll = random.random_range(0..100);
            if roll < 12 && !self.repeatable.is_empty() {
                let change = self.repeatable[random.random_range(0..self.repeatable.len())].clone();
                self.repeat(change).await;
                self.compare().await;
            } else {
                let (caller, op) = self.choose(random);
                let may_change = op.is_change() || op.is_background() || matches!(op, Op::AdvanceClock { .. });
                self.step(caller, op, roll >= 50).await;
                if may_change {
                    self.compare().await;
                }
            }
        }
        // The scheduler steps of later sequences handle all organizations.
        let ids: Vec<_> = self.reference.exports.keys().cloned().collect();
        if !ids.is_empty() {
            self.step(Caller::Root, Op::BatchDelete { ids }, false).await;
            self.compare().await;
        }
    }

    /// Chooses the next call and its caller.
    fn choose(&self, random: &mut StdRng) -> (Caller, Op) {
        let etag = |id: &str, roll: u32| {
            let seen = self.etags.get(id).map(Vec::as_slice).unwrap_or_default();
            let exists = self.reference.connections.contains_key(id) || self.reference.exports.contains_key(id);
            match (roll, seen) {
                (0..50, _) => Etag { text: String::new(), is_valid: true },
                (50..80, [.., last]) if exists => Etag { text: last.clone(), is_valid: true },
                (80..95, [old, _, ..]) => Etag { text: old.clone(), is_valid: false },
                _ => Etag { text: "nonsense".to_owned(), is_valid: false },
            }
        };
        let time = |hours: u64| {
            let time = self.server.clock.now() + TimeDelta::hours(i64::try_from(hours).expect("a small number"));
            Timestamp { seconds: time.timestamp(), nanos: 0 }
        };
        let existing = [self.reference.connections.keys().collect(), self.reference.exports.keys().collect()];
        let (runs, attempts, mostly_runs) = (&self.run_names, self.attempts.len(), self.mostly_runs);
        let mut chooser =
            Chooser { random, etag: &etag, time: &time, listed: &self.listed, existing, runs, attempts, mostly_runs };
        loop {
            let op = chooser.next();
            let caller = chooser.choose_caller(&op);
            if !matches!(op, Op::AdvanceClock { .. }) || self.reference.hour < MAX_HOURS {
                return (caller, op);
            }
        }
    }

    /// Makes a call, and compares its response with that of the reference.
    async fn step(&mut self, caller: Caller, op: Op, with_id: bool) {
        let request_id = if with_id && op.is_change() { Uuid::new_v4().to_string() } else { String::new() };
        self.history.push(format!("{caller:?} {op:?}"));
        if let Op::AdvanceClock { hours } = op {
            self.server.clock.advance(TimeDelta::hours(i64::try_from(hours).expect("a small number")));
        }
        if op.is_background() {
            return self.make_step(&op).await;
        }
        let client = self.clients.get_mut(&caller).expect("a client");
        let found =
            calls::call(client, &self.organization, &op, request_id.clone()).await.map_err(|status| status.reason());
        let affected = self.reference.apply(caller, &op);
        let expected =
            affected.clone().and_then(|affected| self.reference.response(&self.organization, caller, &op, &affected));
        let outcome = expected.as_ref().map_or_else(|reason| *reason, |_| "OK");
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        assert_eq!(found, expected.map_err(ToOwned::to_owned), "{}", self.context());
        if let (Ok(affected), false) = (affected, request_id.is_empty()) {
            self.repeatable.push((caller, op, request_id, affected));
        }
    }

    /// Repeats an earlier change with its request id, which must have no second effect.
    async fn repeat(&mut self, (caller, op, request_id, affected): (Caller, Op, String, Affected)) {
        self.history.push(format!("{caller:?} repeats {op:?}"));
        let client = self.clients.get_mut(&caller).expect("a client");
        let found = calls::call(client, &self.organization, &op, request_id).await.map_err(|status| status.reason());
        let expected = self.reference.response(&self.organization, caller, &op, &affected).map_err(ToOwned::to_owned);
        *self.outcomes.entry("repeated".to_owned()).or_default() += 1;
        assert_eq!(found, expected, "{}", self.context());
    }

    /// Compares the whole state, and checks that an etag changes exactly when its resource is changed.
    async fn compare(&mut self) {
        let root = self.clients.get_mut(&Caller::Root).expect("a client");
        let list = pb::ListConnectionsRequest { parent: self.organization.parent(), ..Default::default() };
        let connections = root.connections.list_connections(list).await.expect("listed").into_inner().connections;
        let list = pb::ListExportsRequest { parent: self.organization.parent(), ..Default::default() };
        let exports = root.exports.list_exports(list).await.expect("listed").into_inner().exports;
        let mut etags = Vec::new();
        for (name, etag) in connections.iter().map(|found| (&found.name, &found.etag)) {
            let id = name.rsplit('/').next().expect("a name").to_owned();
            let Some(known) = self.reference.connections.get(&id) else { continue };
            etags.push((id, (known.incarnation, known.revision), etag.clone()));
        }
        for (name, etag) in exports.iter().map(|found| (&found.name, &found.etag)) {
            let id = name.rsplit('/').next().expect("a name").to_owned();
            let Some(known) = self.reference.exports.get(&id) else { continue };
            etags.push((id, (known.incarnation, known.revision), etag.clone()));
        }
        let found: Vec<_> = connections.into_iter().map(comparable_connection).collect();
        assert_eq!(found, self.reference.all_connections(&self.organization), "{}", self.context());
        let found: Vec<_> = exports.into_iter().map(comparable_export).collect();
        assert_eq!(found, self.reference.all_exports(&self.organization, Caller::Root), "{}", self.context());
        for (id, state, etag) in etags {
            let known = self.etag_of_state.entry(state).or_insert_with(|| etag.clone()).clone();
            assert_eq!(etag, known, "the etag of {id} changed, but the resource did not: {}", self.context());
            let seen = self.etags.entry(id).or_default();
            if seen.last() != Some(&etag) {
                seen.push(etag);
            }
        }
        let distinct: BTreeSet<&String> = self.etag_of_state.values().collect();
        assert_eq!(distinct.len(), self.etag_of_state.len(), "two states have the same etag: {}", self.context());
        self.compare_runs().await;
        self.record_blocking_set().await;
    }

    /// Compares all runs, and finds out the names of new ones.
    async fn compare_runs(&mut self) {
        let root = self.clients.get_mut(&Caller::Root).expect("a client");
        let mut found = run_calls::all_runs(root, &self.organization).await;
        found.reverse();
        for run in found.iter().skip(self.run_names.len()) {
            let export = run.name.split('/').nth(3).expect("a name").to_owned();
            let incarnation = self.reference.exports.get(&export).map(|export| export.incarnation);
            let number = self.run_names.len();
            // The scheduler takes exports that are due at the same time in any order.
            if let Some(place) = self.reference.runs.iter().skip(number).position(|run| Some(run.export) == incarnation)
            {
                self.reference.runs[number..=number + place].rotate_right(1);
            }
            self.run_names.push(RunName { number, uid: run.uid.clone(), export });
        }
        let uids: Vec<_> = found.iter().map(|run| run.uid.clone()).collect();
        assert_eq!(uids, self.run_names.iter().map(|name| name.uid.clone()).collect::<Vec<_>>(), "{}", self.context());
        for (found, known) in found.iter().zip(&self.reference.runs) {
            let etag = known.pinned.map(|revision| self.etag_of_state[&(known.export, revision)].as_str());
            assert_eq!(found.export_etag, etag.unwrap_or_default(), "{}: {}", found.name, self.context());
        }
        let found: Vec<_> = found.into_iter().map(comparable_run).collect();
        let expected = self.reference.runs.iter().map(|run| self.reference.run(&self.organization, Caller::Root, run));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{}", self.context());
        let states: Vec<_> = self.reference.runs.iter().map(|run| run.state).collect();
        for (number, state) in states.iter().enumerate() {
            let before = self.states.get(number);
            if before != Some(state) {
                let before = before.map_or_else(|| "new".to_owned(), |before| format!("{before:?}"));
                *self.outcomes.entry(format!("{before} → {state:?}")).or_default() += 1;
            }
        }
        self.states = states;
    }

    /// Records the blocking set of a connection in use, as reported by the refused deletion.
    async fn record_blocking_set(&mut self) {
        let Some((id, connection)) = self.reference.connections.iter().find(|(_, one)| !one.attached.is_empty()) else {
            return;
        };
        let state = (connection.incarnation, connection.attachments);
        if self.listed.last().is_some_and(|(_, last)| (last.incarnation, last.attachments) == state) {
            return;
        }
        let root = self.clients.get_mut(&Caller::Root).expect("a client");
        let delete = pb::DeleteConnectionRequest { name: self.organization.connection(id), ..Default::default() };
        let refusal = root.connections.delete_connection(delete).await.expect_err("in use");
        assert_eq!(refusal.info("blocking_export_count"), connection.attached.len().to_string());
        let etag = refusal.info("blocking_set_etag");
        self.listed.push((id.clone(), ListedSet { etag, incarnation: state.0, attachments: state.1 }));
    }

    /// Describes the sequence in a failure message.
    fn context(&self) -> String {
        let seed = self.organization.id.trim_start_matches("model-");
        format!("TEST_SEED={seed}, after\n{}", self.history.join("\n"))
    }
}

/// The value of an environment variable that must be a number.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

async fn run_sequences(backend: Backend) {
    let server = TestServer::start(backend).await;
    let wanted = if number("TEST_SEED").is_some() { 1 } else { number("TEST_SEQUENCES").unwrap_or(SEQUENCES) };
    let gate = Gate::new(format!("MODEL, {STEPS} calls each, {backend:?}"), wanted);
    let mut outcomes = BTreeMap::new();
    let others = (0..).filter(|seed| !REGRESSION_SEEDS.contains(seed));
    let mut seeds = REGRESSION_SEEDS.iter().copied().chain(others);
    while gate.next().is_some() {
        let seed = number("TEST_SEED").or_else(|| seeds.next()).expect("the seeds do not end");
        let mut sequence = Sequence::new(&server, seed, &mut outcomes).await;
        Box::pin(sequence.run(&mut StdRng::seed_from_u64(seed))).await;
    }
    gate.report(&format!(", {outcomes:?}"));
    server.check_rows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_agrees_with_the_reference() {
    run_sequences(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_agrees_with_the_reference() {
    run_sequences(Backend::Postgres).await;
}
