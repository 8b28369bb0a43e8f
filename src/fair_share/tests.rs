//! Tests of shares and of the order in which they are granted.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures_util::poll;
use parking_lot::Mutex;

use super::*;
use crate::model::{Caller, Error, Exhausted, OrganizationId, Result, Role, ShareLimit};

fn caller(organization: &str, principal: &str) -> Arc<Caller> {
    Arc::new(Caller {
        principal: principal.to_owned(),
        organization: OrganizationId::parse(organization).unwrap(),
        roles: vec![Role::Viewer],
        groups: Vec::new(),
        expire_time: DateTime::UNIX_EPOCH,
    })
}

fn limit(refused: Result<Share>) -> ShareLimit {
    match refused.map(drop) {
        Err(Error::Exhausted(Exhausted::Share { resource: "test", limit })) => limit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn half_of_a_resource_is_free_for_anyone_and_the_rest_is_shared() {
    let resource = FairShare::new("test", 64);
    let acme = |principal, amount| resource.try_acquire(Some(&caller("acme", principal)), amount);
    // A principal may hold a quarter, and leaves as much to its colleagues.
    let mut alone = vec![acme("ann", 16).unwrap()];
    assert_eq!(limit(acme("ann", 1)), ShareLimit::Principal);
    alone.push(acme("ben", 8).unwrap());
    assert_eq!(limit(acme("ben", 1)), ShareLimit::Principal);
    alone.push(acme("cleo", 8).unwrap());
    assert_eq!(limit(acme("dan", 1)), ShareLimit::Organization);
    // Others find their shares.
    let mut others = Vec::new();
    for organization in ["b-org", "c-org"] {
        for principal in ["ann", "ben"] {
            others.push(resource.try_acquire(Some(&caller(organization, principal)), 8).unwrap());
            let more = resource.try_acquire(Some(&caller(organization, principal)), 1);
            let refused = if principal == "ann" { ShareLimit::Principal } else { ShareLimit::Organization };
            assert!(organization == "c-org" || limit(more) == refused, "{organization} {principal}");
        }
    }
    assert_eq!(limit(resource.try_acquire(Some(&caller("d-org", "ann")), 1)), ShareLimit::Total);
    assert_eq!(limit(resource.try_acquire(None, 1)), ShareLimit::Total);
    drop(alone);
    assert_eq!(limit(resource.try_acquire(Some(&caller("b-org", "cleo")), 1)), ShareLimit::Organization);
    assert_eq!(resource.held(), 32);
    drop(others);
    assert!(resource.0.state.lock().is_unused());
    assert_eq!(resource.held(), 0);
}

#[test]
fn a_share_grows_and_shrinks() {
    let resource = FairShare::new("test", 16);
    let mut share = resource.try_acquire(Some(&caller("acme", "ann")), 4).unwrap();
    share.set(3);
    assert_eq!(resource.held(), 3);
    // What is in use is counted, whatever the limits are.
    share.set(12);
    assert_eq!(resource.held(), 12);
    drop(share);
    assert_eq!(resource.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_refused_and_leaves_nothing() {
    let resource = FairShare::new("test", 4);
    let held = resource.try_acquire(None, 4).unwrap();
    let ann = caller("acme", "ann");
    let refused = resource.acquire(Some(&ann), 1, Duration::from_secs(3)).await;
    assert_eq!(limit(refused), ShareLimit::Total);
    // A cancelled wait does not keep what it is granted.
    let cancelled = resource.acquire(Some(&ann), 1, Duration::from_secs(3));
    assert!(tokio::time::timeout(Duration::from_secs(1), cancelled).await.is_err());
    drop(held);
    assert_eq!(resource.held(), 0);
    assert!(resource.0.state.lock().is_unused());
    assert!(resource.acquire(Some(&ann), 1, Duration::from_secs(3)).await.is_ok());
}

#[tokio::test]
async fn who_is_granted_a_share_and_has_gone_leaves_nothing() {
    let resource = FairShare::new("test", 1);
    let ann = caller("acme", "ann");
    let held = resource.try_acquire(None, 1).unwrap();
    let mut waiting = Box::pin(resource.acquire(Some(&ann), 1, Duration::from_mins(1)));
    assert!(poll!(&mut waiting).is_pending());
    drop(held);
    assert_eq!(resource.held(), 1, "it is granted, and not received yet");
    drop(waiting);
    assert!(resource.0.state.lock().is_unused());
}

#[tokio::test]
async fn who_can_have_a_share_does_not_wait_for_those_at_a_limit() {
    let resource = FairShare::fixed("test", 8);
    let (ann, ben) = (caller("acme", "ann"), caller("acme", "ben"));
    let _held = resource.try_acquire(Some(&ann), 1).unwrap();
    let mut waiting = Box::pin(resource.acquire(Some(&ann), 1, Duration::from_mins(1)));
    assert!(poll!(&mut waiting).is_pending());
    let granted = Box::pin(resource.acquire(Some(&ben), 1, Duration::from_mins(1)));
    assert!(poll!(granted).is_ready());
    assert!(poll!(waiting).is_pending());
}

/// Callers who wait for a resource whose only unit is held, in the order in which they are granted it.
async fn order_of(callers: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let resource = FairShare::new("test", 1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let first = resource.try_acquire(None, 1).unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for (organization, principal) in callers.iter().copied() {
        let (resource, order) = (resource.clone(), Arc::clone(&order));
        waiting.spawn(async move {
            let share = resource.acquire(Some(&caller(organization, principal)), 1, Duration::from_secs(1)).await;
            order.lock().push((organization, principal));
            drop(share.unwrap());
        });
        tokio::task::yield_now().await;
    }
    drop(first);
    while let Some(ended) = waiting.join_next().await {
        ended.unwrap();
    }
    assert!(resource.0.state.lock().is_unused());
    order.lock().clone()
}

#[test]
fn a_principal_may_hold_all_unshared_of_what_is_held_for_moments_and_an_eighth_of_what_is_held_for_long() {
    let ann = caller("acme", "ann");
    let moments = FairShare::in_turns("test", 64, 48);
    let _held = moments.try_acquire(Some(&ann), 48).unwrap();
    assert_eq!(limit(moments.try_acquire(Some(&ann), 1)), ShareLimit::Organization);
    // The next organization finds its whole share.
    let others = ["ben", "cleo"].map(|principal| moments.try_acquire(Some(&caller("zeta", principal)), 8).unwrap());
    assert_eq!(limit(moments.try_acquire(None, 1)), ShareLimit::Total);
    drop(others);
    let long = FairShare::fixed("test", 64);
    let _held = long.try_acquire(Some(&ann), 8).unwrap();
    assert_eq!(limit(long.try_acquire(Some(&ann), 1)), ShareLimit::Principal);
    let _held = long.try_acquire(Some(&caller("acme", "ben")), 8).unwrap();
    assert_eq!(limit(long.try_acquire(Some(&caller("acme", "cleo")), 1)), ShareLimit::Organization);
}

#[tokio::test]
async fn a_share_is_passed_on_to_those_who_can_have_it() {
    let resource = FairShare::in_turns("test", 8, 6);
    let (ann, ben) = (caller("acme", "ann"), caller("zeta", "ben"));
    let mut of_ann = resource.try_acquire(Some(&ann), 6).unwrap();
    assert!(!of_ann.pass_on(), "nobody waits");
    let mut of_ben = resource.try_acquire(Some(&ben), 1).unwrap();
    // Ann holds her share already.
    let waiting = tokio::spawn({
        let (resource, ann) = (resource.clone(), ann.clone());
        async move { resource.acquire(Some(&ann), 1, Duration::from_mins(1)).await.unwrap() }
    });
    tokio::task::yield_now().await;
    assert!(!of_ben.pass_on(), "who waits is at a limit");
    assert_eq!(resource.held(), 7);
    assert!(of_ann.pass_on());
    assert_eq!(resource.held(), 2);
    drop((of_ann, of_ben, waiting.await.unwrap()));
    assert!(resource.0.state.lock().is_unused());
}

#[tokio::test(start_paused = true)]
async fn organizations_and_their_principals_take_turns() {
    let callers = [("acme", "ann"), ("acme", "ann"), ("acme", "ben"), ("zeta", "ann"), ("zeta", "ann")];
    let turns = [("acme", "ann"), ("zeta", "ann"), ("acme", "ben"), ("zeta", "ann"), ("acme", "ann")];
    assert_eq!(order_of(&callers).await, turns);
}

#[tokio::test(start_paused = true)]
async fn who_comes_again_and_again_does_not_pass_who_waits() {
    let resource = FairShare::new("test", 1);
    let granted = Arc::new(Mutex::new(Vec::new()));
    let mut calling = tokio::task::JoinSet::new();
    // One call after the other of each of several organizations, and several calls at the same time of another one.
    for organization in ["a-org", "b-org", "c-org", "busy", "busy", "busy", "busy"] {
        let (resource, granted) = (resource.clone(), Arc::clone(&granted));
        calling.spawn(async move {
            for _ in 0..40 {
                let share = resource.acquire(Some(&caller(organization, "ann")), 1, Duration::from_mins(1)).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                granted.lock().push(organization);
                drop(share.unwrap());
            }
        });
    }
    while let Some(ended) = calling.join_next().await {
        ended.unwrap();
    }
    let first = granted.lock()[..80].iter().filter(|organization| **organization == "busy").count();
    // Who always waits has a turn before who comes back.
    assert!((20..=27).contains(&first), "{first} of 80 turns");
}

#[tokio::test(start_paused = true)]
async fn small_amounts_do_not_pass_a_large_one() {
    let resource = FairShare::new("test", 32);
    let mut held: Vec<_> = (0..16)
        .map(|number| resource.try_acquire(Some(&caller(&format!("org-{number}"), "ann")), 2).unwrap())
        .collect();
    let large = {
        let resource = resource.clone();
        tokio::spawn(async move { resource.acquire(Some(&caller("large", "ann")), 4, Duration::from_secs(3)).await })
    };
    tokio::task::yield_now().await;
    drop(held.pop());
    let small = resource.acquire(Some(&caller("small", "ann")), 2, Duration::from_secs(1)).await;
    assert_eq!(limit(small), ShareLimit::Total);
    drop(held.pop());
    // A principal may hold an eighth.
    assert!(large.await.unwrap().is_ok());
}
