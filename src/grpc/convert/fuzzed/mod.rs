//! Tests of the conversions with arbitrary requests, page tokens and cursors.

mod messages;
mod requests;
mod tokens;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::{App, Parts, Quotas};
use crate::catalog::Catalog;
use crate::delivery::DeliveryParts;
use crate::delivery::datasets::{DatasetSettings, Datasets};
use crate::delivery::destinations::Destinations;
use crate::delivery::engine::Engine;
use crate::dialer::Dialer;
use crate::model::schedule::{ScheduleCompiler, TimeZones};
use crate::model::{Actor, Caller, Clock, EntraTenants, OpContext, OrganizationId, Role, Secret};
use crate::store::{DatabaseSettings, Store};
use crate::vault::{KeyRing, RequestHasher, Vault};

/// An application whose database is never opened. It needs a tokio runtime.
fn app() -> App {
    let clock = Clock::default();
    let database = DatabaseSettings::of_url("sqlite:never-opened.db".to_owned(), 2);
    let key = Secret::new(format!("k={}", "A".repeat(43) + "="));
    let vault = Vault::new(KeyRing::from_setting(&key, None, "keys").unwrap());
    let (hasher, _) = RequestHasher::new_random(&vault).unwrap();
    App::new(Parts {
        store: Store::open(&database, Vec::new(), clock.clone()).unwrap(),
        catalog: Catalog::load(None).unwrap(),
        vault: Arc::new(vault),
        delivery: DeliveryParts {
            datasets: Datasets::new(DatasetSettings::default(), &Dialer::default()).ok().unwrap(),
            engine: Engine::new(1, 1 << 20),
            destinations: Destinations::new(Dialer::default(), clock.clone(), None),
        },
        hasher,
        schedules: ScheduleCompiler::new(TimeZones::bundled()),
        clock,
        run_retention: Duration::from_hours(1),
        quotas: Quotas { connections: None, exports: None, writes_per_second: None },
        entra_tenants: EntraTenants::default(),
        max_streams: 1,
        tasks: tokio_util::task::TaskTracker::new(),
        stop: tokio_util::sync::CancellationToken::new(),
    })
}

/// The context of a call of an administrator of `acme`.
fn context() -> OpContext {
    let organization = OrganizationId::parse("acme").unwrap();
    let caller = Caller {
        principal: "ann".to_owned(),
        organization: organization.clone(),
        roles: vec![Role::Admin],
        groups: Vec::new(),
        expire_time: chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap(),
    };
    let context = OpContext::system("fuzzing", organization, Instant::now());
    OpContext { actor: Actor::Caller(Arc::new(caller)), ..context }
}
