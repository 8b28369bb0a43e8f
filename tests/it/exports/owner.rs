//! The owner of an export, which manages it while it is detached.

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, create_export, on_both};

/// Creates an export with an owner.
async fn create(client: &mut Client, connection: &str, owner: &str) -> Result<pb::Export, tonic::Status> {
    let mut request = create_export(connection, "Weekly");
    owner.clone_into(&mut request.export.as_mut().expect("an export").owner);
    client.exports.create_export(request).await.map(|created| created.into_inner().export.expect("an export"))
}

/// Changes the owner of an export, by mask.
async fn change_owner(client: &mut Client, name: &str, owner: &str) -> Result<pb::Export, tonic::Status> {
    let export = pb::Export { name: name.to_owned(), owner: owner.to_owned(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["owner".to_owned()] });
    let request = pb::UpdateExportRequest { export: Some(export), update_mask, ..Default::default() };
    client.exports.update_export(request).await.map(|updated| updated.into_inner().export.expect("an export"))
}

async fn detach(admin: &mut Client, name: &str) {
    let request = pb::DetachExportRequest { name: name.to_owned(), ..Default::default() };
    admin.exports.detach_export(request).await.expect("detached");
}

/// Whether a caller manages an export: as it is shown, and as an update decides.
async fn manages(client: &mut Client, name: &str) -> bool {
    let shown = client.read_export(name).await.caller_access() == pb::export::CallerAccess::Manage;
    let export = pb::Export { name: name.to_owned(), description: "changed".to_owned(), ..Default::default() };
    let update = pb::UpdateExportRequest { export: Some(export), validate_only: true, ..Default::default() };
    let updated = match client.exports.update_export(update).await {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
            false
        }
    };
    assert_eq!(shown, updated);
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_export_is_managed_by_its_owner_and_by_administrators() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let mut member = server.caller("acme", "bob", &[Role::Contributor], &["marketing"]).await;
        let mut viewer = server.caller("acme", "vera", &[Role::Viewer], &["marketing"]).await;
        let connection = admin.shared_connection("Partner").await.name;
        let own = create(&mut ann, &connection, "").await.expect("created");
        assert_eq!((own.owner.as_str(), own.creator.as_str()), ("user:ann", "ann"), "by default the creator");
        let shared = create(&mut ann, &connection, "group:marketing").await.expect("created");
        assert_eq!((shared.owner.as_str(), shared.creator.as_str()), ("group:marketing", "ann"));
        for name in [&own.name, &shared.name] {
            assert!(manages(&mut ann, name).await && manages(&mut member, name).await, "while they are attached");
            detach(&mut admin, name).await;
        }
        assert!(manages(&mut ann, &own.name).await && !manages(&mut member, &own.name).await);
        assert!(!manages(&mut ann, &shared.name).await && manages(&mut member, &shared.name).await);
        assert!(manages(&mut admin, &own.name).await && manages(&mut admin, &shared.name).await);
        assert_eq!(viewer.read_export(&shared.name).await.caller_access(), pb::export::CallerAccess::View);
        let list = pb::ListExportsRequest {
            parent: "organizations/acme".into(),
            caller_access: pb::export::CallerAccess::Manage.into(),
            ..Default::default()
        };
        let listed = member.exports.list_exports(list).await.expect("listed").into_inner().exports;
        assert_eq!(listed.iter().map(|export| &export.name).collect::<Vec<_>>(), [&shared.name]);
        // The member of the group attaches it again, and copies it: the copy is its own.
        let attach =
            pb::AttachExportRequest { name: shared.name.clone(), connection: connection.clone(), ..Default::default() };
        let attached = member.exports.attach_export(attach).await.expect("attached").into_inner();
        assert_eq!(attached.export.expect("an export").owner, "group:marketing");
        let duplicate = pb::DuplicateExportRequest { name: shared.name, ..Default::default() };
        let copy = member.exports.duplicate_export(duplicate).await.expect("copied").into_inner();
        assert_eq!(copy.export.expect("an export").owner, "user:bob");
        // Who gives a detached export away does not manage it any more.
        let given = change_owner(&mut ann, &own.name, "user:bob").await.expect("changed");
        assert_eq!(given.caller_access(), pb::export::CallerAccess::View);
        assert_eq!(given, ann.read_export(&own.name).await);
        assert!(manages(&mut member, &own.name).await);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_and_the_owner_change_the_owner() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let mut bob = server.contributor("bob").await;
        let connection = admin.shared_connection("Partner").await.name;
        let name = create(&mut ann, &connection, "").await.expect("created").name;
        let refusal = change_owner(&mut bob, &name, "user:bob").await.expect_err("ann owns it");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
        assert!(refusal.message().contains("the owner, user:ann,"), "{}", refusal.message());
        // Bob manages it: an update of the whole export, as it was read, does not change the owner.
        let whole = pb::Export { description: "by bob".into(), ..bob.read_export(&name).await };
        let update = pb::UpdateExportRequest { export: Some(whole), ..Default::default() };
        let updated = bob.exports.update_export(update).await.expect("updated").into_inner().export.expect("an export");
        assert_eq!((updated.owner.as_str(), updated.description.as_str()), ("user:ann", "by bob"));

        assert_eq!(change_owner(&mut ann, &name, "user:bob").await.expect("changed").owner, "user:bob");
        let refusal = change_owner(&mut ann, &name, "user:ann").await.expect_err("bob owns it now");
        assert_eq!(refusal.reason(), "NOT_PERMITTED");
        detach(&mut admin, &name).await;
        assert!(manages(&mut bob, &name).await && !manages(&mut ann, &name).await);
        assert_eq!(change_owner(&mut admin, &name, "group:a:b").await.expect("changed").owner, "group:a:b");
        assert!(!manages(&mut bob, &name).await, "administrators may take it away");

        let events = pb::ListAuditEventsRequest { parent: "organizations/acme".into(), ..Default::default() };
        let events = admin.audit.list_audit_events(events).await.expect("listed").into_inner().audit_events;
        let changes = events.iter().filter(|event| event.changed_fields == ["owner"]).count();
        assert_eq!(changes, 2);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_a_user_or_a_group() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.shared_connection("Partner").await.name;
        let name = create(&mut admin, &connection, "user:ann").await.expect("created").name;
        for owner in ["ann", "user:", "group: ", "team:x", "user:a\nb", &format!("user:{}", "x".repeat(257))] {
            for refusal in [
                create(&mut admin, &connection, owner).await.expect_err("refused"),
                change_owner(&mut admin, &name, owner).await.expect_err("refused"),
            ] {
                assert_eq!(
                    (refusal.reason().as_str(), &refusal.fields()[..]),
                    ("INVALID_FIELD", &["export.owner".into()][..])
                );
            }
        }
        assert_eq!(admin.read_export(&name).await.owner, "user:ann");
        let reset = change_owner(&mut admin, &name, "").await.expect("changed");
        assert_eq!(reset.owner, "user:root", "the creator");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_an_older_version_is_owned_by_its_creator() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let mut bob = server.contributor("bob").await;
        let connection = admin.shared_connection("Partner").await.name;
        let name = create(&mut ann, &connection, "user:bob").await.expect("created").name;
        detach(&mut admin, &name).await;
        // Older versions do not write the column.
        server.database().await.execute("UPDATE exports SET owner = NULL").await;
        assert_eq!(ann.read_export(&name).await.owner, "user:ann");
        assert!(manages(&mut ann, &name).await && !manages(&mut bob, &name).await);
        server.check_rows().await;
    })
    .await;
}
