//! Sends secrets to far sides that refuse them: by tests, and by deliveries.

use std::path::Path;
use std::process::Command;

use futures_util::StreamExt as _;
use outflow::grpc::proto as pb;
use outflow::model::Role;
use pb::export_run::State;
use prost::Message as _;

use super::Haystack;
use crate::far_side::{FarConnection, FarSide, Secrets, TrustedAuthority};
use crate::support::{Client, Clients as _, ErrorExt as _, Process};

/// Far sides, and a server that reaches them.
pub struct FarSides {
    far: FarSide,
    connections: Vec<FarConnection>,
    /// The secrets in the credentials of the connections.
    pub secrets: Secrets,
    authority: TrustedAuthority,
}

/// What the export delivers.
const DATASET: &str = "email\nann@example.com\n";

impl FarSides {
    pub async fn start() -> Self {
        let authority = TrustedAuthority::new();
        let (far, secrets) = (FarSide::start(&authority).await, Secrets::new(&authority));
        let connections = [false, true].map(|use_http2| FarConnection::all(&far, &secrets, use_http2)).concat();
        Self { far, connections, secrets, authority }
    }

    /// Configures a server so that it reaches the far sides, and has a dataset for each connection.
    pub fn configure(&self, command: &mut Command, directory: &Path) {
        let datasets = directory.join("canary-datasets");
        let organizations = (0..self.connections.len()).map(organization);
        for organization in organizations.chain(["acme".to_owned()]) {
            let folder = datasets.join(organization);
            std::fs::create_dir_all(&folder).expect("created");
            std::fs::write(folder.join("customers.csv"), DATASET).expect("written");
        }
        command.env("OUTFLOW_DATASET_LOCATION", datasets).env("OUTFLOW_OUTBOUND_ALLOWED", "*=127.0.0.1");
        command.env("OUTFLOW_OUTBOUND_CA_FILE", self.authority.file()).env("OUTFLOW_RUN_RETRY_DELAY", "10ms");
    }

    /// Uses each connection in all ways that connect to its far side.
    pub async fn use_all(&self, server: &Process, haystack: &mut Haystack) {
        let used = self.connections.iter().enumerate().map(|(number, connection)| async move {
            let (organization, mut haystack) = (organization(number), Haystack::default());
            let mut admin = server.caller(&organization, "root", &[Role::Admin], &[]).await;
            use_connection(&mut admin, &format!("organizations/{organization}"), connection, &mut haystack).await;
            haystack
        });
        let mut used = futures_util::stream::iter(used).buffer_unordered(4);
        while let Some(found) = used.next().await {
            haystack.extend(found);
        }
        drop(used);
        let received = String::from_utf8_lossy(&self.far.received.take()).into_owned();
        // The far sides received the secrets, save those that only sign or prove.
        for sent in [
            format!("outflow: {}", self.secrets.text),
            format!("Bearer {}", self.secrets.token),
            format!("sig={}", self.secrets.token),
            format!("client_secret={}", self.secrets.token),
            format!("x-amz-security-token: {}", self.secrets.token),
            "authorization: Basic ".to_owned(),
            "authorization: SharedKey partner:".to_owned(),
            "webhook-signature: v1,".to_owned(),
            "outflow has SHA256:".to_owned(),
        ] {
            let found = received.to_lowercase().contains(&sent.to_lowercase());
            assert!(found, "no far side received {sent:?}");
        }
    }
}

fn organization(number: usize) -> String {
    format!("far-{number}")
}

async fn use_connection(admin: &mut Client, parent: &str, connection: &FarConnection, haystack: &mut Haystack) {
    let what = format!("{} by {}", connection.connection_type, connection.auth_method);
    let draft = pb::TestConnectionRequest {
        parent: parent.to_owned(),
        target: Some(pb::test_connection_request::Target::Connection(connection.connection())),
        credential: Some(connection.credential_input()),
    };
    let tested = admin.connections.test_connection(draft).await;
    assert!(
        tested.as_ref().map_or(!connection.is_delivered(), |tested| !tested.get_ref().passed),
        "{what}: {tested:?}"
    );
    haystack.message(tested);

    let created = admin.connections.create_connection(connection.create(parent)).await.expect("created").into_inner();
    let name = created.connection.expect("a connection").name;
    let saved = pb::TestConnectionRequest {
        parent: parent.to_owned(),
        target: Some(pb::test_connection_request::Target::Name(name.clone())),
        credential: None,
    };
    haystack.message(admin.connections.test_connection(saved).await);
    let rotate = pb::RotateConnectionCredentialRequest {
        name: name.clone(),
        credential: Some(connection.credential_input()),
        test: true,
        ..Default::default()
    };
    let refused = admin.connections.rotate_connection_credential(rotate).await.expect_err("refused");
    let expected = if connection.is_delivered() { "CREDENTIAL_TEST_FAILED" } else { "NO_RUNNER" };
    assert_eq!(refused.reason(), expected, "{what}: {refused:?}");
    haystack.status(&refused);
    run(admin, parent, &name, connection, haystack).await;

    let list = pb::ListAuditEventsRequest { parent: parent.to_owned(), page_size: 1_000, ..Default::default() };
    let log = admin.audit.list_audit_events(list).await.expect("listed").into_inner();
    haystack.add("audit log", format!("{log:?}"));
}

/// Runs an export to a connection until the run fails.
async fn run(admin: &mut Client, parent: &str, name: &str, connection: &FarConnection, haystack: &mut Haystack) {
    let export = pb::Export {
        destination_settings: Some(connection.settings.clone()),
        ..crate::support::export_on(name, "Canary")
    };
    let create = pb::CreateExportRequest { parent: parent.to_owned(), export: Some(export), ..Default::default() };
    let export = admin.exports.create_export(create).await.expect("created").into_inner().export.expect("an export");
    let preview = pb::PreviewExportRequest {
        parent: parent.to_owned(),
        target: Some(pb::preview_export_request::Target::Name(export.name.clone())),
        ..Default::default()
    };
    haystack.message(admin.exports.preview_export(preview).await);
    let started = admin.run(&export.name).await;
    if !connection.is_delivered() {
        haystack.status(&started.expect_err("no runner"));
        return;
    }
    let run = admin.follow(&started.expect("queued").name).await;
    assert_eq!(run.state(), State::Failed, "{run:?}");
    haystack.add("responses", format!("{run:?}"));
    haystack.add("responses", run.encode_to_vec());
}
