//! Exports on one connection write files of different names, and settings fit the payload and the destination.

use outflow::grpc::proto as pb;
use tonic::{Code, Status};

use crate::support::{Client, Clients as _, ErrorExt as _, create_export, object, on_both, parent, text};

/// A request to create an export whose file has a name by this template.
fn named(connection: &str, id: &str, template: &str) -> pb::CreateExportRequest {
    let mut request = pb::CreateExportRequest { export_id: id.to_owned(), ..create_export(connection, id) };
    let export = request.export.as_mut().expect("an export");
    export.destination_settings = Some(object([("folder", text("daily")), ("file_name_template", text(template))]));
    request
}

impl Client {
    async fn try_create(&mut self, request: pb::CreateExportRequest) -> Result<pb::Export, Status> {
        Ok(self.exports.create_export(request).await?.into_inner().export.expect("an export"))
    }
}

#[track_caller]
fn assert_in_use<T: std::fmt::Debug>(result: Result<T, Status>, other: &str) {
    let status = result.expect_err("the names are in use");
    assert_eq!((status.code(), status.reason().as_str()), (Code::FailedPrecondition, "FILE_NAME_IN_USE"), "{status:?}");
    assert_eq!(status.info("export"), format!("{}/exports/{other}", parent()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_exports_on_a_connection_cannot_write_the_same_file() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let (here, there) = (admin.connection("Here").await.name, admin.connection("There").await.name);
        admin.try_create(named(&here, "first", "customers-{date}")).await.expect("created");
        assert_in_use(admin.try_create(named(&here, "second", "customers-{date}")).await, "first");
        assert_in_use(admin.try_create(named(&here, "second", "customers-2026-11-24")).await, "first");
        let mut second =
            admin.try_create(named(&here, "second", "customers-{date}-{run}")).await.expect("another name");
        admin.try_create(named(&there, "third", "customers-{date}")).await.expect("another connection");

        second.destination_settings = named(&here, "", "{table}-{date}").export.expect("one").destination_settings;
        let update = |export: &pb::Export| pb::UpdateExportRequest {
            export: Some(pb::Export { etag: String::new(), ..export.clone() }),
            ..pb::UpdateExportRequest::default()
        };
        assert_in_use(admin.exports.update_export(update(&second)).await, "first");
        let copy = pb::DuplicateExportRequest { name: format!("{}/exports/first", parent()), ..Default::default() };
        assert_in_use(admin.exports.duplicate_export(copy).await, "first");
        let attach = pb::BatchAttachExportsRequest {
            parent: parent(),
            names: vec![second.name.clone(), format!("{}/exports/third", parent())],
            connection: here.clone(),
            ..pb::BatchAttachExportsRequest::default()
        };
        assert_in_use(admin.exports.batch_attach_exports(attach.clone()).await, "first");
        assert_eq!(admin.read_export(&second.name).await.connection, here, "nothing was changed");

        // The name is free once the first export has left the connection, and in use when it returns.
        let first = format!("{}/exports/first", parent());
        let detach = pb::DetachExportRequest { name: first.clone(), ..pb::DetachExportRequest::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        admin.exports.batch_attach_exports(attach).await.expect("moved");
        let back = pb::AttachExportRequest { name: first, connection: here, ..pb::AttachExportRequest::default() };
        assert_in_use(admin.exports.attach_export(back).await, "third");
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_carried_out_are_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let mut request = named(&connection, "weekly", "a:b");
        let settings = request.export.as_mut().expect("an export").destination_settings.as_mut().expect("settings");
        settings.fields.extend(object([("null_text", text(","))]).fields);
        let refused = admin.try_create(request).await.expect_err("a colon is no part of a name");
        let path = |key: &str| format!("export.destination_settings.{key}");
        assert_eq!(refused.fields(), [path("null_text"), path("file_name_template")]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_database_takes_the_rows_of_one_table() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = crate::support::create_connection("Warehouse");
        let connection = request.connection.as_mut().expect("a connection");
        connection.connection_type = "connectionTypes/postgresql".into();
        connection.properties = Some(object([
            ("host", text("db.partner.example")),
            ("dbname", text("warehouse")),
            ("user", text("loader")),
        ]));
        let created = admin.connections.create_connection(request).await.expect("created").into_inner();
        let warehouse = created.connection.expect("a connection").name;
        let partner = admin.connection("Partner").await.name;
        let mut both = create_export(&partner, "Both");
        let tables = &mut both.export.as_mut().expect("an export").payload.as_mut().expect("a payload").tables;
        tables.push(pb::PayloadTable { table: "orders".into(), ..tables[0].clone() });
        let export = admin.try_create(both.clone()).await.expect("two files").name;

        let settings = object([("table", text("customers"))]);
        let draft = both.export.as_mut().expect("an export");
        (draft.connection, draft.destination_settings) = (warehouse.clone(), Some(settings.clone()));
        let refused = admin.try_create(both).await.expect_err("one table takes both");
        assert_eq!(refused.fields(), ["export.payload.tables"]);
        let move_there = pb::AttachExportRequest {
            name: export,
            connection: warehouse,
            destination_settings: Some(settings),
            ..pb::AttachExportRequest::default()
        };
        let refused = admin.exports.attach_export(move_there).await.expect_err("one table takes both");
        assert_eq!(refused.reason(), "CONNECTION_TYPE_MISMATCH");
        assert_eq!(refused.fields(), ["payload.tables"]);
    })
    .await;
}
