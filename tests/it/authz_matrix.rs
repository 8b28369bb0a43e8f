//! AUTHZ: calls every RPC as every kind of caller. A caller without a valid token is UNAUTHENTICATED in every call; the
//! outcomes of the others are stated in `support/calls/samples.rs`. A new RPC fails here until it is in that table.

use std::collections::BTreeSet;

use outflow::grpc::methods::METHODS;
use tonic::Code;

use crate::support::{
    CALLERS, CallOptions, Client, Clients as _, ErrorExt as _, Names, OK, SAMPLES, TestServer, declared_methods,
    on_both_with_datasets,
};

#[test]
fn every_declared_method_has_its_row_its_call_and_its_role() {
    let declared: BTreeSet<String> = declared_methods().collect();
    let named = |names: Vec<&str>| {
        let unique: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(unique.len(), names.len(), "a method is listed more than once");
        unique
    };
    assert_eq!(named(METHODS.iter().map(|method| method.name).collect()), declared);
    assert_eq!(named(SAMPLES.iter().map(|sample| sample.method).collect()), declared);
    for sample in SAMPLES {
        assert_eq!(sample.access.len(), CALLERS.len(), "{} has an outcome for each caller", sample.method);
    }
}

/// Connects a client for each of [`CALLERS`], in their order.
async fn clients(server: &TestServer) -> Vec<Client> {
    let mut clients = Vec::new();
    for caller in CALLERS {
        clients.push(server.caller(caller.organization, caller.subject, caller.roles, &[]).await);
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_has_the_stated_outcome_for_every_kind_of_caller() {
    on_both_with_datasets(&[("acme/customers.csv", "email\n")], async |server: TestServer, _| {
        let mut admin = server.admin().await;
        let (clients, database) = (clients(&server).await, server.database().await);
        let strangers = [server.anonymous().await, server.bearer(Some("eyJhbGciOiJub25lIn0.e30.")).await];
        let mut number = 0;
        for sample in SAMPLES {
            let method = sample.method;
            let names = Names::make(&mut admin, "acme", number).await;
            let before = database.content().await;
            for stranger in &strangers {
                let refusal = sample.call(stranger, &names, &CallOptions::default()).await.expect_err("no valid token");
                let expected = (Code::Unauthenticated, "UNAUTHENTICATED", "a valid bearer token is required");
                assert_eq!((refusal.code(), refusal.reason().as_str(), refusal.message()), expected, "{method}");
            }
            assert_eq!(database.content().await, before, "{method}");
            for ((caller, client), expected) in CALLERS.iter().zip(&clients).zip(sample.access) {
                let caller = caller.description;
                number += 1;
                // A permitted call changes its resources, so it gets resources of its own.
                let own = if *expected == OK { Names::make(&mut admin, "acme", number).await } else { names.clone() };
                let before = database.content().await;
                let options = CallOptions { secret: "x".into(), ..CallOptions::default() };
                let response = sample.call(client, &own, &options).await;
                let code = response.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
                let outcome = response.map_or_else(|status| status.reason(), |_| OK.to_owned());
                assert_eq!(outcome, *expected, "{method} by {caller}");
                assert!([Code::Ok, Code::PermissionDenied].contains(&code), "{method} by {caller}: {code:?}");
                let same = code == Code::Ok || database.content().await == before;
                assert!(same, "a refused {method} by {caller} changed something");
            }
            number += 1;
        }
        server.check_rows().await;
    })
    .await;
}
