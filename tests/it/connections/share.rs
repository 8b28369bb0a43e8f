//! ShareConnection, UnshareConnection, SearchUsableConnections: a share permits using a connection, not reading it.

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, on_both, parent};

async fn usable(client: &mut Client) -> Vec<pb::UsableConnection> {
    let request = pb::SearchUsableConnectionsRequest { parent: parent(), ..Default::default() };
    let found = client.connections.search_usable_connections(request).await.expect("searched");
    found.into_inner().usable_connections
}

fn members(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_makes_a_connection_usable_but_not_readable() {
    on_both(async |server| {
        let (mut admin, mut ann, mut bob) =
            (server.admin().await, server.contributor("ann").await, server.contributor("bob").await);
        let mut group = server.caller("acme", "gil", &[Role::Contributor], &["marketing"]).await;
        let connection = admin.connection("Partner").await;
        for client in [&mut ann, &mut bob, &mut group] {
            assert_eq!(usable(client).await, []);
        }
        let share = pb::ShareConnectionRequest {
            name: connection.name.clone(),
            members: members(&["user:ann", "group:marketing", "user:ann"]),
            ..Default::default()
        };
        let shared = admin.connections.share_connection(share.clone()).await.expect("shared").into_inner();
        let shared = shared.connection.expect("a connection");
        assert_eq!(shared.sharing.clone().expect("sharing").members, ["group:marketing", "user:ann"]);
        let expected = pb::UsableConnection {
            name: connection.name.clone(),
            display_name: "Partner".into(),
            connection_type: "connectionTypes/sftp".into(),
            display_name_ambiguous: false,
        };
        assert_eq!(usable(&mut ann).await, std::slice::from_ref(&expected));
        assert_eq!(usable(&mut group).await, std::slice::from_ref(&expected));
        assert_eq!(usable(&mut bob).await, []);
        assert_eq!(usable(&mut admin).await, [expected]);
        let get = pb::GetConnectionRequest { name: connection.name.clone() };
        let refusal = ann.connections.get_connection(get).await.expect_err("a share does not permit reading");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "ROLE_REQUIRED"));

        // Repeating the share changes nothing.
        let again = admin.connections.share_connection(share).await.expect("shared").into_inner();
        assert_eq!(again.connection.expect("a connection"), shared);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn display_names_of_several_usable_connections_are_marked() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let (first, second) = (admin.connection("Partner").await, admin.connection("Partner").await);
        let other = admin.connection("Other").await;
        let marked = async |client: &mut Client| {
            let found = usable(client).await.into_iter();
            found.map(|found| (found.name, found.display_name_ambiguous)).collect::<Vec<_>>()
        };
        let all = [(first.name.clone(), true), (second.name.clone(), true), (other.name.clone(), false)];
        assert_eq!(marked(&mut admin).await, all);
        for (name, expected) in [
            (&first.name, vec![(first.name.clone(), false)]),
            (&second.name, vec![(first.name.clone(), true), (second.name.clone(), true)]),
        ] {
            let share = pb::ShareConnectionRequest {
                name: name.clone(),
                members: members(&["user:ann"]),
                ..Default::default()
            };
            admin.connections.share_connection(share).await.expect("shared");
            assert_eq!(marked(&mut ann).await, expected, "only those that the caller may use count");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unsharing_keeps_exports_running_and_counts_those_affected() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await;
        let export = ann.export(&connection.name, "Weekly").await;
        let unshare = |all_contributors, names: &[&str]| pb::UnshareConnectionRequest {
            name: connection.name.clone(),
            all_contributors,
            members: members(names),
            ..Default::default()
        };
        let unchanged = admin.connections.unshare_connection(unshare(false, &["user:bob"])).await.expect("no error");
        assert_eq!(unchanged.into_inner().affected_export_count, 0);
        let unshared = admin.connections.unshare_connection(unshare(true, &[])).await.expect("unshared");
        assert_eq!(unshared.into_inner().affected_export_count, 1);
        let seen = ann.read_export(&export.name).await;
        assert_eq!(seen.state(), pb::export::State::Active);
        assert_eq!(seen.caller_access(), pb::export::CallerAccess::View);
        assert_eq!((seen.etag, seen.update_time), (export.etag, export.update_time));
        let delete = pb::DeleteExportRequest { name: export.name, ..Default::default() };
        let refusal = ann.exports.delete_export(delete).await.expect_err("view only");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_members_are_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let long = format!("user:{}", "x".repeat(257));
        for names in [vec!["ann"], vec!["user:"], vec!["role:admin"], vec![long.as_str()], vec![], vec!["user:a\u{0}"]]
        {
            let share = pb::ShareConnectionRequest {
                name: connection.name.clone(),
                members: members(&names),
                ..Default::default()
            };
            let refusal = admin.connections.share_connection(share).await.expect_err("invalid members");
            assert_eq!(refusal.reason(), "INVALID_FIELD", "{names:?}");
        }
        let longest = format!("group:{}", "x".repeat(256));
        let colon = pb::ShareConnectionRequest {
            name: connection.name.clone(),
            members: members(&["user:spiffe://cluster/ns", longest.as_str()]),
            ..Default::default()
        };
        admin.connections.share_connection(colon).await.expect("split at the first colon");
        let many = pb::ShareConnectionRequest {
            name: connection.name.clone(),
            members: (0..999).map(|number| format!("user:u{number}")).collect(),
            ..Default::default()
        };
        let refusal = admin.connections.share_connection(many).await.expect_err("one too many");
        assert_eq!(refusal.fields(), ["members"]);
        let sharing = admin.read_connection(&connection.name).await.sharing.expect("sharing");
        assert_eq!(sharing.members, [longest.as_str(), "user:spiffe://cluster/ns"]);
    })
    .await;
}
