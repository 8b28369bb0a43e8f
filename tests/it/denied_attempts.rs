//! Denied attempts: what one organization sends keeps no other one from its log.

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tonic::Code;

use crate::support::{Backend, Client, Clients as _, TestServer, on_both};

/// The denied attempts in the log of an organization, after those that wait were written: principals and counts.
async fn denied(admin: &mut Client, organization: &str) -> Vec<(String, i64, String)> {
    let mut request = pb::ListAuditEventsRequest {
        parent: format!("organizations/{organization}"),
        page_size: 1_000,
        ..Default::default()
    };
    let mut denied = Vec::new();
    loop {
        let response = admin.audit.list_audit_events(request.clone()).await.expect("listed").into_inner();
        let events = response.audit_events.into_iter();
        let events = events.filter(|event| event.outcome() == pb::audit_event::Outcome::Denied);
        denied.extend(events.map(|event| (event.principal, event.count, event.resource)));
        if response.next_page_token.is_empty() {
            return denied;
        }
        request.page_token = response.next_page_token;
    }
}

async fn get(client: &mut Client, name: String) -> Code {
    client.connections.get_connection(pb::GetConnectionRequest { name }).await.expect_err("denied").code()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_resource_has_are_not_stored() {
    on_both(async |server: TestServer| {
        let mut ann = server.caller("acme", "ann", &[Role::Admin], &[]).await;
        let mut zoe = server.caller("zeta", "zoe", &[Role::Admin], &[]).await;
        let long = "漢".repeat(190);
        for name in [
            format!("organizations/zeta/connections/{long}"),
            format!("organizations/{long}/connections/partner"),
            format!("organizations/zeta/connections/{}", "a".repeat(4_000)),
            "organizations/zeta/connections/a\u{0}b\nc\u{202e}".to_owned(),
        ] {
            let code = get(&mut ann, name).await;
            assert!([Code::PermissionDenied, Code::InvalidArgument].contains(&code), "{code:?}");
        }
        assert_eq!(get(&mut ann, "organizations/zeta/connections/partner".into()).await, Code::PermissionDenied);
        assert_eq!(get(&mut zoe, "organizations/acme/connections/partner".into()).await, Code::PermissionDenied);
        let own = denied(&mut ann, "acme").await;
        assert!(!own.is_empty());
        for event in own {
            assert!(event.2.len() < 1_100 && event.2.is_ascii(), "{event:?}");
        }
        assert_eq!(denied(&mut zoe, "zeta").await.iter().map(|event| event.1).sum::<i64>(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_refuses_keeps_no_other_from_the_log() {
    let server = TestServer::start(Backend::Postgres).await;
    let database = server.database().await;
    database.execute("ALTER TABLE audit_events ADD CHECK (principal <> 'mallory')").await;
    let mut admin = server.admin().await;
    for (organization, subject) in [("acme", "ann"), ("acme", "mallory"), ("acme", "ben"), ("zeta", "zoe")] {
        let mut caller = server.caller(organization, subject, &[Role::Admin], &[]).await;
        assert_eq!(get(&mut caller, "organizations/other/connections/partner".into()).await, Code::PermissionDenied);
    }
    let mut principals: Vec<_> = denied(&mut admin, "acme").await.into_iter().map(|event| event.0).collect();
    principals.sort();
    assert_eq!(principals, ["ann", "ben"]);
    let mut zoe = server.caller("zeta", "zoe", &[Role::Admin], &[]).await;
    assert_eq!(denied(&mut zoe, "zeta").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_a_quarter_of_the_queue() {
    let server = TestServer::start(Backend::Postgres).await;
    let pool = sqlx::PgPool::connect(&server.database_url).await.expect("the database");
    let mut lock = pool.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE audit_events IN EXCLUSIVE MODE").execute(&mut *lock).await.expect("locked");
    let name = || "organizations/other/connections/partner".to_owned();
    for number in 0..600 {
        let mut caller = server.caller("acme", &format!("caller-{number}"), &[Role::Admin], &[]).await;
        assert_eq!(get(&mut caller, name()).await, Code::PermissionDenied);
    }
    let mut zoe = server.caller("zeta", "zoe", &[Role::Admin], &[]).await;
    assert_eq!(get(&mut zoe, name()).await, Code::PermissionDenied);
    lock.rollback().await.expect("rolled back");
    assert_eq!(denied(&mut zoe, "zeta").await.len(), 1);
    let own = denied(&mut server.admin().await, "acme").await.len();
    assert!((200..=250).contains(&own), "{own}");
}
