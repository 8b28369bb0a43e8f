//! SuspendConnection and ResumeConnection: the exports are blocked and stay unchanged.

use outflow::grpc::proto as pb;

use crate::support::{Clients as _, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn suspending_blocks_the_exports_and_hides_the_reason_from_contributors() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await;
        let export = ann.export(&connection.name, "Weekly").await;
        let suspend = pb::SuspendConnectionRequest {
            name: connection.name.clone(),
            reason: "breach at the partner".into(),
            ..Default::default()
        };
        let suspended = admin.connections.suspend_connection(suspend.clone()).await.expect("suspended");
        let suspended = suspended.into_inner().connection.expect("a connection");
        assert_eq!(suspended.state(), pb::connection::State::Suspended);
        assert_eq!(suspended.suspend_reason, "breach at the partner");
        let seen = ann.read_export(&export.name).await;
        assert_eq!(seen.state(), pb::export::State::Blocked);
        assert_eq!(seen.state_reason(), pb::export::StateReason::ConnectionSuspended);
        assert!(!format!("{seen:?}").contains("breach"));
        assert_eq!((&seen.etag, &seen.payload), (&export.etag, &export.payload));

        // A suspended connection remains usable for those with a share; a new export is blocked.
        let late = ann.export(&connection.name, "Late").await;
        assert_eq!(late.state(), pb::export::State::Blocked);
        let again = admin.connections.suspend_connection(suspend).await.expect("no error").into_inner();
        assert_eq!(again.connection.expect("a connection").etag, suspended.etag);

        let resume = pb::ResumeConnectionRequest { name: connection.name.clone(), ..Default::default() };
        let resumed = admin.connections.resume_connection(resume).await.expect("resumed").into_inner();
        let resumed = resumed.connection.expect("a connection");
        assert_eq!((resumed.state(), resumed.suspend_reason.as_str()), (pb::connection::State::Active, ""));
        assert_eq!(ann.read_export(&late.name).await.state(), pb::export::State::Active);
    })
    .await;
}
