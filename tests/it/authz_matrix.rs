//! AUTHZ: every RPC × every kind of caller. A new RPC fails here until it has its row.

use std::collections::BTreeSet;

use outflow::grpc::methods::METHODS;
use outflow::model::Role;
use tonic::Code;

use crate::support::{
    Client, Clients as _, ErrorExt as _, EveryCall, Names, TestServer, With, declared_methods, every_call, on_both,
};

/// Who calls, in the order of the columns below. Before them stand nobody and the bearer of a bad token, who are
/// UNAUTHENTICATED whatever they call.
const CALLERS: [&str; 7] = [
    "a viewer",
    "a contributor without a share",
    "a contributor with a share",
    "an administrator",
    "an administrator of another organization",
    "a runner",
    "somebody without a role",
];

const OK: &str = "OK";
const ROLE: &str = "ROLE_REQUIRED";
const RIGHT: &str = "NOT_PERMITTED";

/// For any role but the runner's, without a name of an organization in it.
const CATALOG: [&str; 7] = [OK, OK, OK, OK, OK, ROLE, ROLE];
const ADMINS: [&str; 7] = [ROLE, ROLE, ROLE, OK, RIGHT, ROLE, ROLE];
const CONTRIBUTORS: [&str; 7] = [ROLE, OK, OK, OK, RIGHT, ROLE, ROLE];
/// For contributors who can use the connection that it is about.
const USERS: [&str; 7] = [ROLE, RIGHT, OK, OK, RIGHT, ROLE, ROLE];
const VIEWERS: [&str; 7] = [OK, OK, OK, OK, RIGHT, ROLE, ROLE];

/// A row for each RPC.
const MATRIX: [(&str, [&str; 7]); 29] = [
    ("outflow.v1.AuditService/ListAuditEvents", ADMINS),
    ("outflow.v1.ConnectionService/CreateConnection", ADMINS),
    ("outflow.v1.ConnectionService/DeleteConnection", ADMINS),
    ("outflow.v1.ConnectionService/GetConnection", ADMINS),
    ("outflow.v1.ConnectionService/GetConnectionType", CATALOG),
    ("outflow.v1.ConnectionService/ListConnectionTypes", CATALOG),
    ("outflow.v1.ConnectionService/ListConnections", ADMINS),
    ("outflow.v1.ConnectionService/ResumeConnection", ADMINS),
    ("outflow.v1.ConnectionService/RevokeConnectionCredential", ADMINS),
    ("outflow.v1.ConnectionService/RotateConnectionCredential", ADMINS),
    ("outflow.v1.ConnectionService/SearchUsableConnections", CONTRIBUTORS),
    ("outflow.v1.ConnectionService/ShareConnection", ADMINS),
    ("outflow.v1.ConnectionService/StreamBlockingExports", ADMINS),
    ("outflow.v1.ConnectionService/SuspendConnection", ADMINS),
    ("outflow.v1.ConnectionService/UnshareConnection", ADMINS),
    ("outflow.v1.ConnectionService/UpdateConnection", ADMINS),
    ("outflow.v1.ExportService/AttachExport", USERS),
    ("outflow.v1.ExportService/BatchAttachExports", USERS),
    ("outflow.v1.ExportService/BatchDeleteExports", USERS),
    ("outflow.v1.ExportService/BatchDetachExports", ADMINS),
    ("outflow.v1.ExportService/BatchUpdateExportSchedules", USERS),
    ("outflow.v1.ExportService/CreateExport", USERS),
    ("outflow.v1.ExportService/DeleteExport", USERS),
    ("outflow.v1.ExportService/DetachExport", ADMINS),
    ("outflow.v1.ExportService/DuplicateExport", USERS),
    ("outflow.v1.ExportService/GetExport", VIEWERS),
    ("outflow.v1.ExportService/ListExports", VIEWERS),
    ("outflow.v1.ExportService/PreviewSchedule", VIEWERS),
    ("outflow.v1.ExportService/UpdateExport", USERS),
];

#[test]
fn every_declared_method_has_its_row_its_call_and_its_role() {
    let declared: BTreeSet<String> = declared_methods().into_values().flatten().collect();
    let named = |names: Vec<&str>| {
        let unique: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(unique.len(), names.len(), "a method is there twice");
        unique
    };
    assert_eq!(named(METHODS.iter().map(|method| method.name).collect()), declared);
    assert_eq!(named(every_call().map(|call| call.method).collect()), declared);
    assert_eq!(named(MATRIX.iter().map(|(method, _)| *method).collect()), declared);
}

/// The callers of the columns.
async fn callers(server: &TestServer) -> [Client; 7] {
    [
        server.viewer().await,
        server.contributor("ann").await,
        server.contributor("bea").await,
        server.admin().await,
        server.caller("zeta", "root", &[Role::Admin], &[]).await,
        server.caller("acme", "runner", &[Role::Runner], &[]).await,
        server.caller("acme", "nemo", &[], &[]).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_for_every_kind_of_caller() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let (callers, database) = (callers(&server).await, server.database().await);
        let strangers = [server.anonymous().await, server.bearer(Some("eyJhbGciOiJub25lIn0.e30.")).await];
        let mut number = 0;
        for EveryCall { method, call, .. } in every_call() {
            let (_, row) = MATRIX.iter().find(|(name, _)| name == method).expect("a row");
            let names = Names::make(&mut admin, "acme", number).await;
            let before = database.content().await;
            for stranger in &strangers {
                let refusal = call(stranger.clone(), names.clone(), With::default()).await.expect_err("nobody");
                let expected = (Code::Unauthenticated, "UNAUTHENTICATED", "valid credentials are required");
                assert_eq!((refusal.code(), refusal.reason().as_str(), refusal.message()), expected, "{method}");
            }
            assert_eq!(database.content().await, before, "{method}");
            for ((caller, client), expected) in CALLERS.iter().zip(&callers).zip(row) {
                number += 1;
                // Who may changes; so everybody who may gets resources of its own.
                let own = if *expected == OK { Names::make(&mut admin, "acme", number).await } else { names.clone() };
                let before = database.content().await;
                let answer = call(client.clone(), own, With { secret: "x".into(), ..With::default() }).await;
                let code = answer.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
                let outcome = answer.map_or_else(|status| status.reason(), |_| OK.to_owned());
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
