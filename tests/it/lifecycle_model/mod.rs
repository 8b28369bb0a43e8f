//! MODEL: random sequences of calls, each answer and then the whole state compared with a small reference.
//!
//! A sequence is its seed: the number that a failure tells runs it again (`TEST_SEED=7`), and stays in `KEPT`.
//! `TEST_SEQUENCES=10000` runs more of them.

mod calls;
mod operations;
mod reference;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use outflow::grpc::proto as pb;
use outflow::model::Role;
use prost_types::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

use crate::support::{Backend, Client, Clients as _, ErrorExt as _, Gate, TestServer};
use operations::{Chooser, Etag, Op, Shown, Who};
use reference::{Effect, Reference};
use views::{Organization, seen_connection, seen_export};

/// Sequences on each database.
const SEQUENCES: u64 = 300;
/// Calls of a sequence.
const STEPS: usize = 40;
/// Hours that may pass in a sequence: tokens and request ids outlive them.
const HOURS: u64 = 9;
/// Seeds that once failed; they are run first.
const KEPT: [u64; 0] = [];

/// A sequence under way.
struct Sequence<'a> {
    server: &'a TestServer,
    at: Organization,
    clients: BTreeMap<Who, Client>,
    reference: Reference,
    /// Of every resource by its id: the present etag last.
    etags: BTreeMap<String, Vec<String>>,
    /// Which state had which etag.
    known: BTreeMap<(u64, u64), String>,
    shown: Vec<(String, Shown)>,
    /// Changes that were made, to be repeated.
    made: Vec<(Who, Op, String, Effect)>,
    told: Vec<String>,
    /// How often calls ended how.
    outcomes: &'a mut BTreeMap<&'static str, u64>,
}

impl<'a> Sequence<'a> {
    async fn new(server: &'a TestServer, seed: u64, outcomes: &'a mut BTreeMap<&'static str, u64>) -> Self {
        let organization = format!("model-{seed}");
        let mut clients = BTreeMap::new();
        for (who, subject, role, groups) in [
            (Who::Root, "root", Role::Admin, &[][..]),
            (Who::Ann, "ann", Role::Contributor, &["team"]),
            (Who::Bob, "bob", Role::Contributor, &[]),
            (Who::Vera, "vera", Role::Viewer, &["team"]),
        ] {
            clients.insert(who, server.caller(&organization, subject, &[role], groups).await);
        }
        let at = Organization(organization);
        Self {
            server,
            at,
            clients,
            reference: Reference::default(),
            etags: BTreeMap::new(),
            known: BTreeMap::new(),
            shown: Vec::new(),
            made: Vec::new(),
            told: Vec::new(),
            outcomes,
        }
    }

    async fn run(&mut self, random: &mut StdRng) {
        for _ in 0..STEPS {
            let roll = random.random_range(0..100);
            if roll < 12 && !self.made.is_empty() {
                let again = self.made[random.random_range(0..self.made.len())].clone();
                self.repeat(again).await;
            } else {
                let (who, op) = self.choose(random);
                self.step(who, op, roll >= 50).await;
            }
            self.compare().await;
        }
    }

    fn choose(&self, random: &mut StdRng) -> (Who, Op) {
        let etag = |id: &str, roll: u32| {
            let seen = self.etags.get(id).map(Vec::as_slice).unwrap_or_default();
            let present = self.reference.connections.contains_key(id) || self.reference.exports.contains_key(id);
            match (roll, seen) {
                (0..50, _) => Etag { text: String::new(), good: true },
                (50..80, [.., last]) if present => Etag { text: last.clone(), good: true },
                (80..95, [old, _, ..]) => Etag { text: old.clone(), good: false },
                _ => Etag { text: "nonsense".to_owned(), good: false },
            }
        };
        let time = |hours: u64| {
            let time = self.server.clock.now() + TimeDelta::hours(i64::try_from(hours).expect("few"));
            Timestamp { seconds: time.timestamp(), nanos: 0 }
        };
        let present = [self.reference.connections.keys().collect(), self.reference.exports.keys().collect()];
        let mut chooser = Chooser { random, etag: &etag, time: &time, shown: &self.shown, present };
        loop {
            let op = chooser.next();
            let who = chooser.who(&op);
            if !matches!(op, Op::Later { .. }) || self.reference.hour < HOURS {
                return (who, op);
            }
        }
    }

    /// Makes a call, and holds its answer against the reference's.
    async fn step(&mut self, who: Who, op: Op, with_id: bool) {
        let request_id = if with_id && op.is_change() { Uuid::new_v4().to_string() } else { String::new() };
        self.told.push(format!("{who:?} {op:?}"));
        if let Op::Later { hours } = op {
            self.server.clock.advance(TimeDelta::hours(i64::try_from(hours).expect("few")));
        }
        let client = self.clients.get_mut(&who).expect("a client");
        let found = calls::call(client, &self.at, &op, request_id.clone()).await.map_err(|status| status.reason());
        let effect = self.reference.apply(who, &op);
        let expected = effect.clone().and_then(|effect| self.reference.answer(&self.at, who, &op, &effect));
        let outcome = expected.as_ref().map_or_else(|reason| *reason, |_| "OK");
        *self.outcomes.entry(outcome).or_default() += 1;
        assert_eq!(found, expected.map_err(ToOwned::to_owned), "{}", self.story());
        if let (Ok(effect), false) = (effect, request_id.is_empty()) {
            self.made.push((who, op, request_id, effect));
        }
    }

    /// Sends a change again that was made before: it has no second effect.
    async fn repeat(&mut self, (who, op, request_id, effect): (Who, Op, String, Effect)) {
        self.told.push(format!("{who:?} again {op:?}"));
        let client = self.clients.get_mut(&who).expect("a client");
        let found = calls::call(client, &self.at, &op, request_id).await.map_err(|status| status.reason());
        let expected = self.reference.answer(&self.at, who, &op, &effect).map_err(ToOwned::to_owned);
        *self.outcomes.entry("again").or_default() += 1;
        assert_eq!(found, expected, "{}", self.story());
    }

    /// The whole state, and that etags move with what callers change and with nothing else.
    async fn compare(&mut self) {
        let root = self.clients.get_mut(&Who::Root).expect("a client");
        let list = pb::ListConnectionsRequest { parent: self.at.parent(), ..Default::default() };
        let connections = root.connections.list_connections(list).await.expect("listed").into_inner().connections;
        let list = pb::ListExportsRequest { parent: self.at.parent(), ..Default::default() };
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
        let found: Vec<_> = connections.into_iter().map(seen_connection).collect();
        assert_eq!(found, self.reference.all_connections(&self.at), "{}", self.story());
        let found: Vec<_> = exports.into_iter().map(seen_export).collect();
        assert_eq!(found, self.reference.all_exports(&self.at, Who::Root), "{}", self.story());
        for (id, state, etag) in etags {
            let known = self.known.entry(state).or_insert_with(|| etag.clone()).clone();
            assert_eq!(etag, known, "the etag of {id} moved without a change: {}", self.story());
            let seen = self.etags.entry(id).or_default();
            if seen.last() != Some(&etag) {
                seen.push(etag);
            }
        }
        let different: BTreeSet<&String> = self.known.values().collect();
        assert_eq!(different.len(), self.known.len(), "two states have one etag: {}", self.story());
        self.look_at_a_set().await;
    }

    /// Remembers the set that blocks a connection, as the refusal of a removal would show it.
    async fn look_at_a_set(&mut self) {
        let Some((id, connection)) = self.reference.connections.iter().find(|(_, one)| !one.attached.is_empty()) else {
            return;
        };
        let shown = (connection.incarnation, connection.attachments);
        if self.shown.last().is_some_and(|(_, last)| (last.incarnation, last.attachments) == shown) {
            return;
        }
        let root = self.clients.get_mut(&Who::Root).expect("a client");
        let delete = pb::DeleteConnectionRequest { name: self.at.connection(id), ..Default::default() };
        let refusal = root.connections.delete_connection(delete).await.expect_err("in use");
        assert_eq!(refusal.info("blocking_export_count"), connection.attached.len().to_string());
        let etag = refusal.info("blocking_set_etag");
        self.shown.push((id.clone(), Shown { etag, incarnation: shown.0, attachments: shown.1 }));
    }

    fn story(&self) -> String {
        let seed = self.at.0.trim_start_matches("model-");
        format!("TEST_SEED={seed}, after\n{}", self.told.join("\n"))
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

async fn sequences(backend: Backend) {
    let server = TestServer::start(backend).await;
    let wanted = if number("TEST_SEED").is_some() { 1 } else { number("TEST_SEQUENCES").unwrap_or(SEQUENCES) };
    let gate = Gate::new(format!("MODEL, {STEPS} calls each, {backend:?}"), wanted);
    let mut outcomes = BTreeMap::new();
    while let Some(round) = gate.next() {
        let kept = usize::try_from(round).ok().and_then(|round| KEPT.get(round)).copied();
        let seed = number("TEST_SEED").or(kept).unwrap_or(round);
        let mut sequence = Sequence::new(&server, seed, &mut outcomes).await;
        Box::pin(sequence.run(&mut StdRng::seed_from_u64(seed))).await;
    }
    gate.report(&format!(", {outcomes:?}"));
    server.check_rows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_does_as_the_reference_does() {
    sequences(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_does_as_the_reference_does() {
    sequences(Backend::Postgres).await;
}
