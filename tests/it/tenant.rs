//! TENANT: a name of another organization, in any field of a request, is refused before it is looked up: the status is
//! the same, byte for byte, whether the resource exists or not.

use std::sync::atomic::{AtomicU64, Ordering};

use outflow::grpc::proto as pb;
use outflow::model::Role;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tonic::{Code, Status};

use crate::support::{
    CallOptions, Clients as _, ErrorExt as _, Gate, Names, SAMPLES, Sample, Slot, TestServer, on_both, parent,
};

/// The number of calls on both databases together.
const CALLS: u64 = 10_000;

/// The code, message and details of a status, with the absent names replaced by the present ones.
fn normalized(status: &Status, absent: &Names, present: &Names) -> (Code, String, Vec<u8>) {
    let mut details = status.details().to_vec();
    let mut message = status.message().to_owned();
    let pairs = [
        (&absent.connection, &present.connection),
        (&absent.free, &present.free),
        (&absent.target, &present.target),
        (&absent.export, &present.export),
        (&absent.run, &present.run),
        (&absent.ended_run, &present.ended_run),
    ];
    for (absent, present) in pairs {
        assert_eq!(absent.len(), present.len(), "the encoded details contain lengths");
        message = message.replace(absent.as_str(), present);
        while let Some(start) = details.windows(absent.len()).position(|window| window == absent.as_bytes()) {
            details[start..start + present.len()].copy_from_slice(present.as_bytes());
        }
    }
    (status.code(), message, details)
}

/// The own names, with the names in the slots of the bit mask `which` replaced by foreign ones.
fn mixed(own: &Names, foreign: &Names, slots: &[Slot], which: u64) -> Names {
    let mut names = own.clone();
    for (index, slot) in slots.iter().enumerate() {
        if which >> index & 1 == 1 {
            names.get_mut(*slot).clone_from(foreign.get(*slot));
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_names_are_refused_alike_whether_they_exist_or_not() {
    on_both(async |server: TestServer| {
        let mut zeta = server.caller("zeta", "root", &[Role::Admin], &[]).await;
        let present = Names::make(&mut zeta, "zeta", 11).await;
        let mut admin = server.admin().await;
        let own = Names::make(&mut admin, "acme", 1).await;
        let absent = |name: &String| name.replace("11", "99");
        let absent = Names {
            parent: present.parent.clone(),
            connection: absent(&present.connection),
            free: absent(&present.free),
            target: absent(&present.target),
            export: absent(&present.export),
            run: absent(&present.run),
            ended_run: absent(&present.ended_run),
        };
        let callers = [admin.clone(), server.contributor("bea").await, server.viewer().await];
        let samples: Vec<(&Sample, Vec<Slot>)> = SAMPLES.iter().map(|sample| (sample, sample.slots())).collect();
        let samples: Vec<_> = samples.into_iter().filter(|(_, slots)| !slots.is_empty()).collect();
        let before = (zeta.read_connection(&present.connection).await, zeta.read_export(&present.export).await);
        let not_permitted = AtomicU64::new(0);

        let gate = Gate::new(format!("TENANT, {:?}", server.backend), CALLS / 2);
        gate.run(async |round| {
            let mut random = StdRng::seed_from_u64(round);
            let (sample, slots) = &samples[random.random_range(0..samples.len())];
            let method = sample.method;
            // Mostly administrators, because callers without the role are refused before any name is read.
            let client = &callers[[0, 0, 0, 1, 2][random.random_range(0..5)]];
            let which = 1 + random.next_u64() % ((1 << slots.len()) - 1);
            let mut refusals = Vec::new();
            for foreign in [&present, &absent] {
                let response = sample.call(client, &mixed(&own, foreign, slots, which), &CallOptions::default()).await;
                let refusal =
                    response.err().unwrap_or_else(|| panic!("{method} accepted a foreign name, round {round}"));
                assert_eq!(refusal.code(), Code::PermissionDenied, "{method}: {refusal:?}");
                refusals.push(refusal);
            }
            not_permitted.fetch_add(u64::from(refusals[0].reason() == "NOT_PERMITTED"), Ordering::Relaxed);
            assert_eq!(
                normalized(&refusals[0], &absent, &present),
                normalized(&refusals[1], &absent, &present),
                "{method}, round {round}"
            );
        })
        .await;
        gate.report(&format!(", {} of them refused for the name and not for the role", not_permitted.into_inner()));

        let after = (zeta.read_connection(&present.connection).await, zeta.read_export(&present.export).await);
        assert_eq!(after, before);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_foreign_name_refuses_the_whole_batch() {
    on_both(async |server: TestServer| {
        let mut zeta = server.caller("zeta", "root", &[Role::Admin], &[]).await;
        let foreign = Names::make(&mut zeta, "zeta", 1).await;
        let mut admin = server.admin().await;
        let own = Names::make(&mut admin, "acme", 1).await;
        let by_names = pb::BatchDetachExportsRequest {
            parent: parent(),
            names: vec![own.export.clone(), foreign.export.clone()],
            ..Default::default()
        };
        let set = pb::BatchDetachExportsRequest {
            parent: parent(),
            attached_set: Some(pb::batch_detach_exports_request::AttachedSet {
                connection: foreign.connection.clone(),
                blocking_set_etag: "anything".into(),
            }),
            ..Default::default()
        };
        for request in [by_names, set] {
            let refusal = admin.exports.batch_detach_exports(request).await.expect_err("a foreign name");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
        }
        for (client, names) in [(&mut admin, &own), (&mut zeta, &foreign)] {
            assert_eq!(client.read_export(&names.export).await.state(), pb::export::State::Active);
        }
    })
    .await;
}
