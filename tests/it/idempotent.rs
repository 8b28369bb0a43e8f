//! IDEMPOTENT: 64 concurrent calls with the same request id have one effect and equal responses, for every change.

use futures_util::future::join_all;
use outflow::grpc::proto as pb;
use uuid::Uuid;

use crate::support::{
    CallOptions, Client, Clients as _, ErrorExt as _, Gate, Names, SAMPLES, Sample, TestServer, create_connection,
    on_both, parent,
};

/// The number of equal concurrent calls.
const AT_ONCE: usize = 64;
/// The number of rounds on each database.
const ROUNDS: u64 = 50;

/// Counts the events in the audit log.
async fn count_events(admin: &mut Client) -> usize {
    let mut request = pb::ListAuditEventsRequest { parent: parent(), page_size: 1_000, ..Default::default() };
    let mut count = 0;
    loop {
        let page = admin.audit.list_audit_events(request.clone()).await.expect("listed").into_inner();
        count += page.audit_events.len();
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return count;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_concurrent_requests_have_one_effect_and_equal_responses() {
    on_both(async |server: TestServer| {
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(server.admin().await);
        }
        let mut admin = clients[0].clone();
        let samples: Vec<&Sample> = SAMPLES.iter().filter(|sample| sample.is_change()).collect();
        assert!(samples.len() >= 19, "{} mutations", samples.len());
        let gate = Gate::new(format!("IDEMPOTENT, {AT_ONCE} at once, {:?}", server.backend), ROUNDS);
        while let Some(round) = gate.next() {
            let sample = samples[usize::try_from(round).expect("small") % samples.len()];
            let method = sample.method;
            let names = Names::make(&mut admin, "acme", round).await;
            if method.ends_with("ResumeConnection") {
                let suspend = pb::SuspendConnectionRequest { name: names.connection.clone(), ..Default::default() };
                admin.connections.suspend_connection(suspend).await.expect("suspended");
            }
            let before = count_events(&mut admin).await;
            let request_id = Uuid::new_v4().to_string();
            let options = CallOptions { secret: "equal".to_owned(), request_id, ..CallOptions::default() };
            let calls = (0..AT_ONCE).map(|caller| sample.call(&clients[caller % 4], &names, &options));
            let mut responses = join_all(calls).await.into_iter().map(|response| response.expect(method));
            let first = responses.next().expect("a response");
            assert!(responses.all(|response| response == first), "{method}");
            assert_eq!(count_events(&mut admin).await, before + 1, "{method}");
        }
        gate.report("");
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_any_change_stores_nothing_and_does_not_use_up_its_request_id() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let database = server.database().await;
        for (number, sample) in (0..).zip(SAMPLES.iter().filter(|sample| sample.is_change())) {
            let method = sample.method;
            let names = Names::make(&mut admin, "acme", number).await;
            if method.ends_with("ResumeConnection") {
                let suspend = pb::SuspendConnectionRequest { name: names.connection.clone(), ..Default::default() };
                admin.connections.suspend_connection(suspend).await.expect("suspended");
            }
            let before = database.content().await;
            let request_id = Uuid::new_v4().to_string();
            let dry_run = CallOptions { secret: "of a dry run".into(), request_id, validate_only: true };
            let change = CallOptions { validate_only: false, ..dry_run.clone() };
            for _ in 0..2 {
                sample.call(&admin, &names, &dry_run).await.expect(method);
                assert_eq!(database.content().await, before, "{method}");
            }
            sample.call(&admin, &names, &change).await.expect("the request id is unused");
            assert_ne!(database.content().await, before, "{method}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_refused_with_other_content_and_is_separate_for_each_caller() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let mut other = server.caller("acme", "second", &[outflow::model::Role::Admin], &[]).await;
        let request_id = "01931f6e-7c4b-7000-8000-00000000000a".to_owned();
        let first = pb::CreateConnectionRequest { request_id: request_id.clone(), ..create_connection("First") };
        let created = admin.connections.create_connection(first.clone()).await.expect("created").into_inner();
        let mut changed = first.clone();
        changed.credential = Some(crate::support::password("another"));
        let refusal = admin.connections.create_connection(changed).await.expect_err("other content");
        assert_eq!((refusal.reason().as_str(), refusal.fields()), ("REQUEST_ID_REUSED", vec!["request_id".to_owned()]));
        let others = other.connections.create_connection(first.clone()).await.expect("created").into_inner();
        assert_ne!(others, created, "request ids are separate for each principal");

        // Only successes are recorded: after a refusal the corrected request may use the same id.
        let mut corrected = pb::CreateConnectionRequest { request_id: Uuid::new_v4().to_string(), ..first.clone() };
        corrected.credential = None;
        let refusal = admin.connections.create_connection(corrected.clone()).await.expect_err("no credential");
        assert_eq!(refusal.reason(), "INVALID_FIELD");
        corrected.credential = first.credential.clone();
        admin.connections.create_connection(corrected).await.expect("created");

        // A replay returns the current resource, and NOT_FOUND once it is deleted.
        let name = created.connection.expect("a connection").name;
        let suspend = pb::SuspendConnectionRequest { name: name.clone(), ..Default::default() };
        let suspended = admin.connections.suspend_connection(suspend).await.expect("suspended").into_inner();
        let again = admin.connections.create_connection(first.clone()).await.expect("replayed").into_inner();
        assert_eq!(again.connection, suspended.connection);
        let delete = pb::DeleteConnectionRequest { name, request_id: Uuid::new_v4().to_string(), ..Default::default() };
        admin.connections.delete_connection(delete.clone()).await.expect("deleted");
        admin.connections.delete_connection(delete).await.expect("replayed");
        let refusal = admin.connections.create_connection(first).await.expect_err("deleted since");
        assert_eq!(refusal.reason(), "RESOURCE_NOT_FOUND");
        server.check_rows().await;
    })
    .await;
}
