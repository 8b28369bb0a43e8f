//! ListAuditEvents: the content of events, pages, filters, and denied attempts.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use outflow::grpc::proto as pb;
use outflow::model::Role;
use prost_types::value::Kind;
use tonic::Request;

use crate::support::{
    ANYBODY, Backend, CallOptions, Client, Clients as _, ErrorExt as _, Names, SAMPLES, TestServer, cron, on_both,
    on_both_with_datasets, parent,
};

/// Calls at the same time that all end within their deadline on a busy machine.
const MAX_CONCURRENT_CALLS: usize = 200;

/// Lists up to 1,000 events.
async fn events(admin: &mut Client, filter: pb::ListAuditEventsRequest) -> Vec<pb::AuditEvent> {
    let request = pb::ListAuditEventsRequest { parent: parent(), page_size: 1_000, ..filter };
    admin.audit.list_audit_events(request).await.expect("listed").into_inner().audit_events
}

/// A string field of an object as it is, and another field as debug text.
fn value(object: Option<&prost_types::Struct>, key: &str) -> Option<String> {
    let kind = object?.fields.get(key)?.kind.as_ref()?;
    if let Kind::StringValue(text) = kind { Some(text.clone()) } else { Some(format!("{kind:?}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_records_the_caller_and_the_changed_fields_with_both_values() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await;
        let export = ann.export(&connection.name, "Weekly").await;
        let mut changed = export.clone();
        changed.display_name = "Monthly".into();
        changed.schedule = Some(cron("0 6 1 * *", "Europe/Berlin"));
        let update = pb::UpdateExportRequest {
            export: Some(changed),
            update_mask: Some(prost_types::FieldMask { paths: vec!["display_name".into(), "schedule".into()] }),
            ..Default::default()
        };
        let mut call = tonic::Request::new(update);
        call.metadata_mut().insert("x-request-id", "call-7".parse().expect("ASCII"));
        call.metadata_mut()
            .insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("ASCII"));
        ann.exports.update_export(call).await.expect("updated");

        let of_export = pb::ListAuditEventsRequest { resource: export.name.clone(), ..Default::default() };
        let found = events(&mut admin, of_export).await;
        let [created, updated] = found.as_slice() else { panic!("not two events: {found:?}") };
        assert_eq!(created.method, "outflow.v1.ExportService/CreateExport");
        assert_eq!(value(created.after.as_ref(), "connection"), Some(connection.name.clone()));
        assert_eq!((updated.principal.as_str(), updated.roles.join(" ").as_str()), ("ann", "CONTRIBUTOR"));
        assert_eq!((updated.resource_uid.as_str(), updated.count), (export.uid.as_str(), 1));
        assert_eq!(updated.outcome(), pb::audit_event::Outcome::Succeeded);
        assert_eq!(updated.changed_fields, ["display_name", "schedule"]);
        assert_eq!(value(updated.before.as_ref(), "display_name"), Some("Weekly".into()));
        assert_eq!(value(updated.after.as_ref(), "display_name"), Some("Monthly".into()));
        assert_eq!(value(updated.before.as_ref(), "schedule"), None);
        assert_eq!((updated.call_id.as_str(), updated.trace_id.len()), ("call-7", 32));

        let by_root = pb::ListAuditEventsRequest { principal: "root".into(), ..Default::default() };
        assert_eq!(events(&mut admin, by_root).await.len(), 1);
        let since_update = pb::ListAuditEventsRequest { start_time: updated.time, ..Default::default() };
        assert_eq!(events(&mut admin, since_update).await.last(), Some(updated));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_writes_one_event_per_export_and_a_dry_run_writes_none() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let mut names = Vec::new();
        for number in 0..3 {
            names.push(admin.export(&connection.name, &format!("Export {number}")).await.name);
        }
        let mut detach =
            pb::BatchDetachExportsRequest { parent: parent(), names, reason: "moving".into(), ..Default::default() };
        detach.validate_only = true;
        let validated = admin.exports.batch_detach_exports(detach.clone()).await.expect("valid").into_inner();
        assert_eq!((validated.detached_count, validated.batch_id.as_str()), (3, ""));
        let method = "outflow.v1.ExportService/BatchDetachExports";
        let filter = pb::ListAuditEventsRequest { method: method.into(), ..Default::default() };
        assert_eq!(events(&mut admin, filter.clone()).await, []);
        detach.validate_only = false;
        let detached = admin.exports.batch_detach_exports(detach).await.expect("detached").into_inner();
        let found = events(&mut admin, filter).await;
        assert_eq!(found.len(), 3);
        for event in &found {
            assert_eq!((event.batch_id.as_str(), event.reason.as_str()), (detached.batch_id.as_str(), "moving"));
            assert_eq!(value(event.before.as_ref(), "connection"), Some(connection.name.clone()));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_paged_in_descending_order_and_invalid_filters_are_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        for number in 0..5 {
            admin.connection(&format!("Connection {number}")).await;
        }
        let mut seen = Vec::new();
        let mut request = pb::ListAuditEventsRequest {
            parent: parent(),
            page_size: 2,
            order_by: "time desc".into(),
            ..Default::default()
        };
        loop {
            let page = admin.audit.list_audit_events(request.clone()).await.expect("listed").into_inner();
            seen.extend(page.audit_events.into_iter().map(|event| event.resource_display_name));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        seen.reverse();
        assert_eq!(seen, (0..5).map(|number| format!("Connection {number}")).collect::<Vec<_>>());
        let invalid_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
        let request = pb::ListAuditEventsRequest {
            parent: parent(),
            resource: "organizations/acme/exports/\0".into(),
            principal: "\0".into(),
            method: "\0".into(),
            start_time: invalid_time,
            end_time: invalid_time,
            order_by: "display_name".into(),
            ..Default::default()
        };
        let refusal = admin.audit.list_audit_events(request).await.expect_err("six fields are invalid");
        let mut fields = refusal.fields();
        fields.sort();
        assert_eq!(fields, ["end_time", "method", "order_by", "principal", "resource", "start_time"]);
        server.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_attempts_are_counted_per_minute_in_the_organization_of_the_caller() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let mut foreign_admin = server.caller("zeta", "zoe", &[Role::Admin], &[]).await;
        let connection = admin.connection("Partner").await.name;
        let get = |name: &str| pb::GetConnectionRequest { name: name.to_owned() };
        for _ in 0..7 {
            ann.connections.get_connection(get(&connection)).await.expect_err("no role");
        }
        let zeta = || pb::ListAuditEventsRequest { parent: "organizations/zeta".into(), ..Default::default() };
        for number in 0..8 {
            let name = format!("organizations/acme/connections/c{number}");
            foreign_admin.connections.get_connection(get(&name)).await.expect_err("a foreign name");
            if number == 1 {
                // Listing writes the attempts so far. Later ones are added to the same event, which keeps its names.
                foreign_admin.audit.list_audit_events(zeta()).await.expect("listed");
            }
        }
        let mut anonymous = server.anonymous().await;
        anonymous.connections.get_connection(get(&connection)).await.expect_err("no token");

        let denied = |events: Vec<pb::AuditEvent>| {
            let denied = events.into_iter().filter(|event| event.outcome() == pb::audit_event::Outcome::Denied);
            denied.collect::<Vec<_>>()
        };
        // The attempts may be spread over two minutes, and so over two events.
        let own = denied(events(&mut admin, pb::ListAuditEventsRequest::default()).await);
        assert_eq!(own.iter().map(|event| event.count).sum::<i64>(), 7);
        for event in &own {
            assert_eq!((event.principal.as_str(), event.reason.as_str()), ("ann", "ROLE_REQUIRED"));
            assert_eq!(event.method, "outflow.v1.ConnectionService/GetConnection");
            assert!(!event.call_id.is_empty());
        }
        // The events are in the audit log of the caller's own organization, with the first five names.
        let foreign = foreign_admin.audit.list_audit_events(zeta()).await.expect("listed").into_inner().audit_events;
        let foreign = denied(foreign);
        assert_eq!(foreign.iter().map(|event| event.count).sum::<i64>(), 8);
        assert!(foreign.iter().all(|event| event.resource.split(' ').count() <= 5));
        assert!(foreign[0].resource.starts_with("organizations/acme/connections/c0 "), "{}", foreign[0].resource);
        let named = foreign.iter().map(|event| event.resource.split(' ').count()).sum::<usize>();
        assert!(named >= 5, "{foreign:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_calls_do_not_wait_for_the_audit_table() {
    // The table of audit events is locked, so that no event can be written.
    let server = TestServer::start(Backend::Postgres).await;
    let (mut admin, ann) = (server.admin().await, server.contributor("ann").await);
    let connection = admin.connection("Partner").await.name;
    let pool = sqlx::PgPool::connect(&server.database_url).await.expect("the database");
    let mut lock = pool.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE audit_events IN EXCLUSIVE MODE").execute(&mut *lock).await.expect("locked");
    // More attempts than the queue can hold.
    let denied = (0..3_000).map(|_| {
        let (mut ann, name) = (ann.clone(), connection.clone());
        async move {
            let get = pb::GetConnectionRequest { name };
            ann.connections.get_connection(get).await.expect_err("no role").reason()
        }
    });
    let reasons: Vec<_> = stream::iter(denied).buffer_unordered(MAX_CONCURRENT_CALLS).collect().await;
    let others: BTreeSet<_> = reasons.iter().filter(|reason| *reason != "ROLE_REQUIRED").collect();
    assert!(others.is_empty(), "{others:?}");
    lock.rollback().await.expect("rolled back");
    let counted =
        events(&mut admin, pb::ListAuditEventsRequest { principal: "ann".into(), ..Default::default() }).await;
    let counted = counted.iter().map(|event| event.count).sum::<i64>();
    assert!((1..=3_000).contains(&counted), "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_list_writes_denied_attempts_once() {
    let server = TestServer::start(Backend::Postgres).await;
    let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
    let connection = admin.connection("Partner").await.name;
    ann.connections.get_connection(pb::GetConnectionRequest { name: connection }).await.expect_err("no role");
    let pool = sqlx::PgPool::connect(&server.database_url).await.expect("the database");
    let mut lock = pool.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE audit_events IN EXCLUSIVE MODE").execute(&mut *lock).await.expect("locked");
    // The list waits for the transaction that writes the attempt, and that one for the lock.
    let mut list =
        Request::new(pb::ListAuditEventsRequest { parent: parent(), principal: "ann".into(), ..Default::default() });
    list.set_timeout(Duration::from_millis(300));
    admin.audit.list_audit_events(list).await.expect_err("the deadline is exceeded");
    lock.rollback().await.expect("rolled back");
    server.app.flush_denied_attempts().await.expect("written");
    let counted =
        events(&mut admin, pb::ListAuditEventsRequest { principal: "ann".into(), ..Default::default() }).await;
    assert_eq!(counted.iter().map(|event| event.count).sum::<i64>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_that_changes_or_shows_data_and_every_denied_call_is_recorded() {
    on_both_with_datasets(&[("acme/customers.csv", "email\n")], async |server: TestServer, _| {
        let (mut admin, without_role) = (server.admin().await, server.caller("acme", "nemo", &[], &[]).await);
        let root = server.caller("acme", "caller", &[Role::Admin], &[]).await;
        for (number, sample) in (0..).zip(SAMPLES) {
            let method = sample.method;
            let names = Names::make(&mut admin, "acme", number).await;
            let by = |principal: &str| pb::ListAuditEventsRequest {
                principal: principal.to_owned(),
                method: method.to_owned(),
                ..Default::default()
            };
            let options = CallOptions { secret: "x".to_owned(), ..CallOptions::default() };
            if method.ends_with("/ResumeConnection") {
                let suspend = pb::SuspendConnectionRequest { name: names.connection.clone(), ..Default::default() };
                admin.connections.suspend_connection(suspend).await.expect("suspended");
            }
            if sample.is_change() {
                let validate = CallOptions { validate_only: true, ..options.clone() };
                sample.call(&root, &names, &validate).await.expect(method);
                assert_eq!(events(&mut admin, by("caller")).await, [], "{method} with validate_only");
            }
            sample.call(&root, &names, &options).await.expect(method);
            let found = events(&mut admin, by("caller")).await;
            let is_recorded = sample.is_change() || method.ends_with("/PreviewExport");
            assert_eq!(!found.is_empty(), is_recorded, "{method}: {found:?}");

            if sample.access == ANYBODY {
                sample.call(&without_role, &names, &options).await.expect(method);
                continue;
            }
            sample.call(&without_role, &names, &options).await.expect_err(method);
            let denied = events(&mut admin, by("nemo")).await;
            let outcomes: Vec<_> = denied.iter().map(|event| (event.outcome(), event.count)).collect();
            assert_eq!(outcomes, [(pb::audit_event::Outcome::Denied, 1)], "{method}");
        }
    })
    .await;
}
