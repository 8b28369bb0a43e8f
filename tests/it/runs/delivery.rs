//! Runs are delivered: real datasets, the engine, and a directory as the destination.

use std::time::Duration;

use outflow::grpc::proto as pb;
use pb::export_run::State;
use pb::payload_field::Transform;

use super::shared::{Shared, export_of, field};
use crate::support::{Backend, Client, Clients as _, TestServer, object, parent, text, with_timeout};

/// A server that runs exports of the sample into an outbox.
struct Delivering {
    server: TestServer,
    shared: Shared,
}

impl Delivering {
    async fn start(backend: Backend, settings: &[(&'static str, &str)]) -> Self {
        let shared = Shared::new(backend, settings).await;
        Self { server: shared.server(&[]).await, shared }
    }

    async fn on_both(body: impl AsyncFn(Self)) {
        for backend in [Backend::Sqlite, Backend::Postgres] {
            eprintln!("on {backend:?}");
            Box::pin(body(Self::start(backend, &[]).await)).await;
        }
    }
}

/// An export of hashed addresses and segments of all customers.
fn segments(connection: &str) -> pb::Export {
    let fields = vec![
        field("id", Transform::None),
        field("email", Transform::Sha256Normalized),
        field("segment", Transform::None),
    ];
    pb::Export { display_name: "Segments".to_owned(), ..export_of(connection, "customers", fields, "weekly") }
}

impl Client {
    /// Follows a run to its end.
    pub async fn follow(&mut self, run: &str) -> pb::ExportRun {
        let request = pb::WatchExportRunRequest { name: run.to_owned() };
        let mut watched = self.exports.watch_export_run(request).await.expect("a stream").into_inner();
        let mut last = None;
        while let Some(message) = watched.message().await.expect("no error") {
            last = message.run;
        }
        last.expect("a run")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_delivered_whole_with_its_manifest() {
    Delivering::on_both(async |delivering: Delivering| {
        let mut admin = delivering.server.admin().await;
        let connection = admin.local_directory("partner").await;
        let export = admin.create(segments(&connection.name)).await;
        let started = admin.run(&export).await.expect("queued");
        let run = admin.follow(&started.name).await;
        assert_eq!(run.state(), State::Succeeded, "{run:?}");
        let files = delivering.shared.files();
        let [data, manifest] = files.as_slice() else { panic!("{files:?}") };
        assert_eq!(*manifest, format!("{data}.manifest.json"));
        assert!(data.starts_with("partner/weekly/") && data.ends_with(".csv.zst"), "{data}");
        let manifest = delivering.shared.manifest(manifest);
        assert_eq!((manifest.run.as_str(), manifest.export.as_str()), (run.name.as_str(), export.as_str()));
        let csv = delivering.shared.text("partner/weekly", &manifest.files[0]);
        let mut lines = csv.split("\r\n");
        assert_eq!(lines.next(), Some("id,email,segment"));
        let first = lines.next().expect("a row");
        assert_eq!(first.split(',').nth(1).map(str::len), Some(64), "{first}");
        let stats = run.stats.expect("counts");
        assert_eq!(usize::try_from(stats.rows_written), Ok(csv.matches("\r\n").count() - 1));
        assert_eq!((stats.rows_written, stats.files), (5_000, 1));
        assert_eq!(stats.rows_estimated, Some(5_000));
        assert_eq!(run.attempt, 1);

        // What was delivered equals what a preview shows.
        let request = pb::PreviewExportRequest {
            parent: parent(),
            rows: 3,
            target: Some(pb::preview_export_request::Target::Name(export.clone())),
        };
        let preview = admin.exports.preview_export(request).await.expect("a preview").into_inner();
        assert_eq!(preview.files.len(), 1);
        assert_eq!(preview.files[0].sample_rows, 3);
        assert!(csv.starts_with(&preview.files[0].sample), "{:?}", preview.files[0].sample);
        assert_eq!(preview.estimated_rows, Some(5_000));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tables_and_files_have_one_manifest() {
    let delivering = Delivering::start(Backend::Sqlite, &[]).await;
    let mut admin = delivering.server.admin().await;
    let connection = admin.local_directory("partner").await;
    let mut export = segments(&connection.name);
    let table = |table: &str| pb::PayloadTable { table: table.to_owned(), ..pb::PayloadTable::default() };
    export.payload = Some(pb::Payload { tables: vec![table("customers"), table("orders")] });
    export.destination_settings = Some(object([
        ("file_format", text("jsonl")),
        ("max_rows_per_file", prost_types::value::Kind::NumberValue(2_000.0)),
    ]));
    let export = admin.create(export).await;
    let started = admin.run(&export).await.expect("queued");
    let run = admin.follow(&started.name).await;
    assert_eq!(run.state(), State::Succeeded, "{run:?}");
    let files = delivering.shared.files();
    let manifest = files.iter().find(|path| path.ends_with("/_SUCCESS.json")).expect("a manifest");
    let manifest = delivering.shared.manifest(manifest);
    assert_eq!(files.len(), manifest.files.len() + 1);
    let customers: Vec<_> = manifest.files.iter().filter(|file| file.table == "customers").collect();
    assert_eq!(customers.iter().map(|file| file.rows).collect::<Vec<_>>(), [2_000, 2_000, 1_000]);
    for file in &manifest.files {
        assert_eq!(delivering.shared.text("partner", file).lines().count() as u64, file.rows, "{}", file.path);
    }
    assert_eq!(u64::try_from(run.stats.expect("counts").rows_written), Ok(manifest.rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_says_why_and_only_administrators_see_the_detail() {
    let delivering = Delivering::start(Backend::Sqlite, &[]).await;
    let mut admin = delivering.server.admin().await;
    let connection = admin.local_directory("partner").await;
    let export = admin.create(segments(&connection.name)).await;
    // The dataset loses a field after the export was saved.
    let (orders, customers) =
        (delivering.shared.datasets.join("orders.parquet"), delivering.shared.datasets.join("customers.parquet"));
    std::fs::rename(orders, customers).expect("renamed");
    let started = admin.run(&export).await.expect("queued");
    let run = admin.follow(&started.name).await;
    assert_eq!(run.state(), State::Failed);
    let error = run.error.as_ref().expect("an error");
    assert_eq!(error.code(), pb::export_run::error::Code::FieldMissing);
    assert!(!error.retryable && run.admin_detail.contains("email"), "{run:?}");
    let seen = delivering.server.viewer().await.read_run(&run.name).await;
    assert_eq!((seen.error, seen.admin_detail.as_str()), (run.error, ""));
    assert_eq!(delivering.shared.files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_was_saved_without_fields_gets_them_at_its_next_run() {
    Delivering::on_both(async |delivering: Delivering| {
        let mut admin = delivering.server.admin().await;
        let connection = admin.local_directory("partner").await;
        let export = admin.create(segments(&connection.name)).await;
        // As it was saved before the organization had a source of datasets.
        let payload = r#"{"tables":[{"table":"customers","fields":[],"filters":[]}]}"#;
        delivering.server.database().await.execute(&format!("UPDATE exports SET payload = '{payload}'")).await;
        let before = admin.read_export(&export).await;
        assert!(before.payload.expect("a payload").tables[0].fields.is_empty());
        let started = admin.run(&export).await.expect("queued");
        let run = admin.follow(&started.name).await;
        assert_eq!(run.state(), State::Succeeded, "{run:?}");
        let after = admin.read_export(&export).await;
        let fields = &after.payload.as_ref().expect("a payload").tables[0].fields;
        assert_eq!(fields.iter().map(|field| field.field.as_str()).take(2).collect::<Vec<_>>(), ["id", "email"]);
        assert_eq!((fields.len(), after.updater.as_str()), (9, "system:runner"));
        assert_ne!(after.etag, before.etag);
        assert_eq!(run.export_etag, after.etag, "the run used the payload that lists the fields");
        delivering.server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_fails() {
    let shared = Shared::new(Backend::Postgres, &[("run_max_duration", "1h")]).await;
    let control = shared.server(&[("runs", "off")]).await;
    let mut admin = control.admin().await;
    let connection = admin.local_directory("partner").await;
    let export = admin.create(segments(&connection.name)).await;
    let started = admin.run(&export).await.expect("queued");
    // It began an hour ago, with another attempt.
    let began = "UPDATE runs SET attempt = 1, failures = 1, start_time = now() - interval '61 minutes'";
    control.database().await.execute(began).await;
    let _runner = shared.server(&[]).await;
    let run = admin.follow(&started.name).await;
    assert_eq!((run.state(), run.attempt), (State::Failed, 2), "{run:?}");
    assert_eq!(run.error.expect("an error").code(), pb::export_run::error::Code::TimedOut);
    assert_eq!(shared.files(), <[String; 0]>::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_changes_its_type_fails_the_run_until_the_payload_is_saved_again() {
    Delivering::on_both(async |delivering: Delivering| {
        let declare = |field_type: &str| {
            let schema = format!(r#"{{"fields": [{{"name": "id", "type": "{field_type}"}}]}}"#);
            std::fs::write(delivering.shared.datasets.join("points.schema.json"), schema).expect("written");
        };
        std::fs::write(delivering.shared.datasets.join("points.csv"), "id\n1\n").expect("written");
        declare("integer");
        let mut admin = delivering.server.admin().await;
        let connection = admin.local_directory("partner").await;
        let export = admin.create(export_of(&connection.name, "points", Vec::new(), "weekly")).await;
        let follow = async |export: &str| {
            let mut admin = delivering.server.admin().await;
            let started = admin.run(export).await.expect("queued");
            admin.follow(&started.name).await
        };
        assert_eq!(follow(&export).await.state(), State::Succeeded);
        declare("string");
        let run = follow(&export).await;
        assert_eq!(run.state(), State::Failed, "{run:?}");
        assert_eq!(run.error.expect("an error").code(), pb::export_run::error::Code::FieldTypeChanged);
        let saved = admin.read_export(&export).await;
        let same = pb::Export { name: export.clone(), payload: saved.payload, ..pb::Export::default() };
        let update = pb::UpdateExportRequest { export: Some(same), ..pb::UpdateExportRequest::default() };
        admin.exports.update_export(update).await.expect("saved");
        assert_eq!(follow(&export).await.state(), State::Succeeded);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_copy_of_an_export_can_be_previewed_and_the_audit_log_tells_what_was_shown() {
    let delivering = Delivering::start(Backend::Sqlite, &[]).await;
    let mut admin = delivering.server.admin().await;
    let connection = admin.local_directory("partner").await;
    let mut export = segments(&connection.name);
    export.destination_settings = Some(object([("file_name_template", text("members"))]));
    admin.create(export.clone()).await;
    let payload = export.payload.as_mut().expect("a payload");
    payload.tables[0].fields.truncate(2);
    let draft = pb::PreviewExportRequest {
        parent: parent(),
        rows: 1,
        target: Some(pb::preview_export_request::Target::Export(export)),
    };
    let preview = admin.exports.preview_export(draft).await.expect("a preview").into_inner();
    assert!(preview.files[0].sample.starts_with("id,email\r\n"), "{preview:?}");
    let list = pb::ListAuditEventsRequest { parent: parent(), ..Default::default() };
    let events = admin.audit.list_audit_events(list).await.expect("listed").into_inner().audit_events;
    let event = events.iter().find(|event| event.reason == "previewed").expect("an event");
    let shown = format!("{event:?}");
    for part in ["customers", "email", "Sha256Normalized", &connection.name] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_there_is_found_although_its_source_is_gone() {
    Delivering::on_both(async |delivering: Delivering| {
        delivering.shared.add_table("members", 10);
        let mut admin = delivering.server.admin().await;
        let connection = admin.local_directory("partner").await;
        let export = admin.create(export_of(&connection.name, "members", Vec::new(), "weekly")).await;
        let started = admin.run(&export).await.expect("queued");
        assert_eq!(admin.follow(&started.name).await.state(), State::Succeeded);
        let files = delivering.shared.files();
        std::fs::remove_file(delivering.shared.datasets.join("members.csv")).expect("removed");
        // As if the process had ended before it wrote that the attempt succeeded.
        let repeat = async |attempt: i32| {
            let queue = "UPDATE runs SET state = 'QUEUED', end_time = NULL, next_attempt_time = create_time";
            delivering.server.database().await.execute(queue).await;
            let mut admin = delivering.server.admin().await;
            let ended = async {
                loop {
                    let run = admin.read_run(&started.name).await;
                    if run.attempt == attempt && run.end_time.is_some() {
                        break run;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            with_timeout("the end of another attempt", ended).await
        };
        let run = repeat(2).await;
        assert_eq!(run.state(), State::Succeeded, "{run:?}");
        assert_eq!(delivering.shared.files(), files);
        // Without a result it fails.
        std::fs::remove_dir_all(delivering.shared.outbox.join("partner/weekly")).expect("removed");
        let run = repeat(3).await;
        assert_eq!(run.state(), State::Failed, "{run:?}");
        assert_eq!(run.error.expect("an error").code(), pb::export_run::error::Code::FieldMissing);
        assert_eq!(delivering.shared.files(), <[String; 0]>::default());
    })
    .await;
}
