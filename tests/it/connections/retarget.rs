//! RETARGET: after a binding property of a connection changed, no byte of the secret that was stored before leaves: not by a
//! test, a run that a caller starts, or a run that is due. Nor after the row was changed in the database.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use futures_util::StreamExt as _;
use outflow::grpc::proto as pb;
use outflow::model::Role;
use pb::export_run::{SkipReason, State, Trigger};
use pb::test_connection_request::Target;
use serde_json::{Value as Json, json};
use tonic::Code;

use crate::far_side::{FarConnection, FarSide, Secrets, TrustedAuthority, to_struct};
use crate::leak::encodings;
use crate::support::{Backend, Client, Clients as _, Database, ErrorExt as _, TestServer, export_on, print_line};

/// Connections that are used at the same time.
const CONCURRENCY: usize = 4;

/// A server whose runs reach two far sides.
struct Sides {
    server: TestServer,
    old: FarSide,
    new: FarSide,
    secrets: Secrets,
    _directory: tempfile::TempDir,
    _authority: TrustedAuthority,
}

/// A connection in an organization of its own, with an export.
struct Used {
    admin: Client,
    parent: String,
    connection: FarConnection,
    name: String,
    export: String,
}

impl Sides {
    /// Starts a server with a dataset in each of these organizations.
    async fn start(backend: Backend, organizations: usize) -> Self {
        let (authority, directory) = (TrustedAuthority::new(), tempfile::tempdir().expect("a directory"));
        for number in 0..organizations {
            let folder = directory.path().join(organization(number));
            std::fs::create_dir(&folder).expect("created");
            std::fs::write(folder.join("customers.csv"), "email\nann@example.com\n").expect("written");
        }
        let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
        let settings = vec![
            ("runs", "on".to_owned()),
            ("run_max_attempts", "1".to_owned()),
            ("dataset_location", path(directory.path())),
            ("outbound_allowed", "*=127.0.0.1".to_owned()),
            ("outbound_ca_file", path(&authority.file())),
        ];
        let server = TestServer::start_with(backend, settings).await;
        let (old, new) = (FarSide::start(&authority).await, FarSide::start(&authority).await);
        Self { server, old, new, secrets: Secrets::new(&authority), _directory: directory, _authority: authority }
    }

    /// Creates a connection, and an export that is due every hour.
    async fn create(&self, number: usize, connection: FarConnection) -> Used {
        let (organization, parent) = (organization(number), format!("organizations/{}", organization(number)));
        let mut admin = self.server.caller(&organization, "root", &[Role::Admin], &[]).await;
        let created = admin.connections.create_connection(connection.create(&parent)).await.expect("created");
        let name = created.into_inner().connection.expect("a connection").name;
        let interval = pb::schedule::Interval {
            every: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
            ..pb::schedule::Interval::default()
        };
        let export = pb::Export {
            destination_settings: Some(connection.settings.clone()),
            schedule: Some(pb::Schedule {
                timing: Some(pb::schedule::Timing::Interval(interval)),
                enabled: true,
                ..pb::Schedule::default()
            }),
            ..export_on(&name, "Hourly")
        };
        let create = pb::CreateExportRequest { parent: parent.clone(), export: Some(export), ..Default::default() };
        let created = admin.exports.create_export(create).await.expect("created").into_inner();
        Used { admin, parent, connection, name, export: created.export.expect("an export").name }
    }

    /// What both sides received since the last call.
    fn received(&self) -> String {
        let received = [self.old.received.take(), self.new.received.take()].concat();
        String::from_utf8_lossy(&received).into_owned()
    }
}

impl Used {
    fn what(&self) -> String {
        format!("{} by {}", self.connection.connection_type, self.connection.auth_method)
    }

    async fn test(&mut self, target: Target) -> Result<pb::TestConnectionResponse, tonic::Status> {
        let request = pb::TestConnectionRequest { parent: self.parent.clone(), target: Some(target), credential: None };
        Ok(self.admin.connections.test_connection(request).await?.into_inner())
    }

    /// Tests the stored connection, which fails.
    async fn test_stored(&mut self) {
        let (what, target) = (self.what(), Target::Name(self.name.clone()));
        match self.test(target).await {
            Ok(tested) => assert!(self.connection.is_delivered() && !tested.passed, "{what}: {tested:?}"),
            Err(status) => assert_eq!((self.connection.is_delivered(), status.reason().as_str()), (false, "NO_RUNNER")),
        }
    }

    /// Runs the export, which fails. Returns the run; `None`: nothing runs exports to this type.
    async fn run(&mut self) -> Option<pb::ExportRun> {
        match self.admin.run(&self.export).await {
            Ok(run) => Some(self.admin.follow(&run.name).await),
            Err(status) => {
                assert_eq!((self.connection.is_delivered(), status.reason().as_str()), (false, "NO_RUNNER"));
                None
            }
        }
    }

    /// Waits for the end of the run that is due.
    async fn due_run(&mut self) -> pb::ExportRun {
        loop {
            let runs = self.admin.runs(&self.export).await;
            if let Some(run) = runs.iter().find(|run| run.trigger() != Trigger::Manual) {
                return self.admin.follow(&run.name).await;
            }
        }
    }

    /// Changes one property, without and then with a new credential.
    async fn change(&mut self, field: &str, value: &Json, secrets: &Secrets, new: &FarSide) {
        let what = format!("{field} of {}", self.what());
        let mut changed = self.connection.clone();
        let mut changed_fields = to_struct(&json!({ field: value })).fields;
        if field == "addressing_style" {
            // An address has no buckets as host names.
            changed_fields.extend(to_struct(&json!({ "endpoint": format!("https://localhost:{}", new.http1) })).fields);
        }
        changed.properties.fields.extend(changed_fields);
        assert_ne!(changed.properties, self.connection.properties, "{what}");
        let update = pb::UpdateConnectionRequest {
            connection: Some(pb::Connection {
                name: self.name.clone(),
                properties: Some(changed.properties.clone()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let refused = self.admin.connections.update_connection(update.clone()).await.expect_err(&what);
        assert_eq!(refused.reason(), "CREDENTIAL_REENTRY_REQUIRED", "{what}");
        // A draft never takes the credential of the connection that it names.
        let draft = Target::Connection(pb::Connection { name: self.name.clone(), ..changed.connection() });
        let refused = self.test(draft).await.expect_err(&what);
        assert_eq!(refused.fields(), ["credential"], "{what}");

        let renewed = FarConnection::all(new, secrets, false);
        let is_same = |one: &&FarConnection| {
            (one.connection_type, one.auth_method) == (changed.connection_type, changed.auth_method)
        };
        changed.credential.clone_from(&renewed.iter().find(is_same).expect("the same way").credential);
        let update = pb::UpdateConnectionRequest { credential: Some(changed.credential_input()), ..update };
        self.admin.connections.update_connection(update).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        self.connection = changed;
    }
}

fn organization(number: usize) -> String {
    format!("retarget-{number}")
}

/// Another value of a binding property: where the new side listens, if it says where to connect.
fn other_value(connection_type: &str, field: &str, new: &FarSide) -> Json {
    let https = format!("https://127.0.0.1:{}", new.http1);
    match (connection_type, field) {
        ("azure_blob", "endpoint") => json!(format!("{https}/partner")),
        ("webhook", "url") => json!(format!("{https}/in?from=outflow")),
        ("kafka", "bootstrap_servers") => json!([format!("127.0.0.1:{}", new.http1)]),
        ("kafka", "sasl_oauthbearer_token_endpoint_url") => json!(format!("{https}/oauth2/v2.0/token")),
        (_, "endpoint" | "authority_host" | "organization_url") => json!(https),
        (_, "host") => json!("localhost"),
        ("sftp", "port") => json!(new.ssh),
        ("postgresql", "port") => json!(new.postgres),
        (_, "host_key") => json!(new.host_key),
        (_, "addressing_style") => json!("virtual"),
        (_, "sslmode") => json!("verify-full"),
        (_, "region") => json!("eu-west-1"),
        (_, "tenant_id") => json!("other.example"),
        ("azure_blob" | "dynamics_365_marketing", "client_id") => json!("0f0c7a4e-3f0b-4c39-8a53-62a9f7ad4d0b"),
        _ => json!("other"),
    }
}

/// A connection with a changed binding property, with the secrets before and after the change.
struct Changed {
    used: Used,
    field: String,
    before: Secrets,
    after: Secrets,
}

impl Changed {
    fn what(&self) -> String {
        format!("{} of {}", self.field, self.used.what())
    }
}

impl Sides {
    /// A connection for every binding property of every way to authenticate, with the property.
    fn cases(&self) -> Vec<(FarConnection, String)> {
        let (mut cases, mut types) = (Vec::new(), BTreeSet::new());
        for use_http2 in [false, true] {
            for connection in FarConnection::all(&self.old, &self.secrets, use_http2) {
                let known = self.server.app.catalog().get(connection.connection_type).expect("a type");
                types.insert(known.id.clone());
                let binding = known.property_fields.iter().filter(|field| field.binding);
                // Every second property over HTTP/2.
                let chosen = binding.enumerate().filter(|(number, _)| number.is_multiple_of(2) == use_http2);
                cases.extend(chosen.map(|(_, field)| (connection.clone(), field.key.clone())));
            }
        }
        let with_secrets = self.server.app.catalog().iter().filter(|known| !known.auth_methods.is_empty());
        assert_eq!(types, with_secrets.map(|known| known.id.clone()).collect(), "every type with secrets");
        cases
    }

    /// Creates a connection with secrets of its own, tests it, and changes a property.
    async fn change(&self, number: usize, template: FarConnection, field: String) -> Changed {
        let (before, after) = (self.secrets.with_new_texts(), self.secrets.with_new_texts());
        let mut own = FarConnection::all(&self.old, &before, false);
        own.retain(|one| (one.connection_type, one.auth_method) == (template.connection_type, template.auth_method));
        let credential = own.pop().expect("the same way").credential;
        let mut used = self.create(number, FarConnection { credential, ..template }).await;
        used.test_stored().await;
        let value = other_value(used.connection.connection_type, &field, &self.new);
        used.change(&field, &value, &after, &self.new).await;
        Changed { used, field, before, after }
    }

    /// Tests each connection, and lets its export run by a call and by its schedule.
    async fn use_all(&self, all: Vec<Changed>) -> Vec<Changed> {
        let used = futures_util::stream::iter(all).map(|mut changed| async move {
            changed.used.test_stored().await;
            if let Some(run) = changed.used.run().await {
                assert_eq!(run.state(), State::Failed, "{}: {run:?}", changed.what());
            }
            changed
        });
        let mut all: Vec<_> = used.buffer_unordered(CONCURRENCY).collect().await;
        self.server.clock.advance(TimeDelta::minutes(61));
        for changed in &mut all {
            let run = changed.used.due_run().await;
            let expected = if changed.used.connection.is_delivered() {
                (State::Failed, SkipReason::Unspecified)
            } else {
                (State::Skipped, SkipReason::NoRunner)
            };
            assert_eq!((run.state(), run.skip_reason()), expected, "{}: {run:?}", changed.what());
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_binding_property_never_gets_the_secret_stored_before() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        // There are fewer cases.
        let sides = Sides::start(backend, 100).await;
        let cases = sides.cases().into_iter().enumerate();
        let changed = futures_util::stream::iter(cases).map(|(number, (template, field))| {
            let sides = &sides;
            async move { sides.change(number, template, field).await }
        });
        let changed: Vec<_> = changed.buffer_unordered(CONCURRENCY).collect().await;
        assert!(sides.new.received.take().is_empty(), "nothing used the new side before");
        let before = sides.received();
        assert!(changed.iter().any(|changed| before.contains(&changed.before.token)), "the tests sent secrets");

        let used = sides.use_all(changed).await;
        let received = sides.received();
        for changed in &used {
            for encoding in [&changed.before.text, &changed.before.token].into_iter().flat_map(|text| encodings(text)) {
                assert!(!received.contains(&encoding), "{}: the old secret was sent", changed.what());
            }
        }
        let is_sent = |secrets: &Secrets| {
            let basic = STANDARD.encode(format!("outflow:{}", secrets.text));
            [&secrets.token, &secrets.text, &basic].into_iter().any(|text| received.contains(text.as_str()))
        };
        let (sent, all) = (used.iter().filter(|changed| is_sent(&changed.after)).count(), used.len());
        assert!(sent > 0, "the new secrets are used");
        print_line(&format!("gate RETARGET, {backend:?}: {all} changes, 0 old secrets sent, {sent} new ones"));
    }
}

/// Changes where all connections lead, in the database.
async fn redirect_rows(database: &Database, old: &FarSide, new: &FarSide) {
    let ports = [(old.http1, new.http1), (old.http2, new.http2), (old.ssh, new.ssh), (old.postgres, new.postgres)];
    for (from, to) in ports {
        let update = match database {
            Database::Sqlite(_) => {
                format!("UPDATE connections SET properties = replace(CAST(properties AS text), '{from}', '{to}')")
            }
            Database::Postgres(_) => format!(
                "UPDATE connections SET properties = CAST(replace(CAST(properties AS text), '{from}', '{to}') AS jsonb)"
            ),
        };
        database.execute(&update).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_changed_in_the_database_does_not_deliver() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let sides = Sides::start(backend, 50).await;
        let mut connections = FarConnection::all(&sides.old, &sides.secrets, true);
        connections.retain(FarConnection::is_delivered);
        let mut all = Vec::new();
        for (number, connection) in connections.into_iter().enumerate() {
            all.push(sides.create(number, connection).await);
        }
        redirect_rows(&sides.server.database().await, &sides.old, &sides.new).await;
        for used in &mut all {
            let what = used.what();
            let tested = used.test(Target::Name(used.name.clone())).await.expect_err(&what);
            assert_eq!(tested.code(), Code::Internal, "{what}");
            let run = used.run().await.expect("a run");
            let code = run.error.as_ref().map(pb::export_run::Error::code);
            assert_eq!(code, Some(pb::export_run::error::Code::CredentialRequired), "{what}: {run:?}");
        }
        assert_eq!(sides.received(), "", "nothing is sent");
    }
}
