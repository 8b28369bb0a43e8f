//! The sample that the first start of the embedded default writes.

use std::fs;

use outflow::grpc::proto as pb;
use outflow::grpc::proto::dataset_field::FieldType;

use super::{all, list, tables};
use crate::support::{Clients as _, Process, create_export, outflow};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_of_the_embedded_default_writes_a_sample_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Process::start(&mut outflow(directory.path()));
    let mut admin = server.admin().await;
    let page = list(&mut admin, all()).await;
    assert_eq!(tables(&page), ["customers", "orders"]);
    assert_eq!(page.datasets[0].estimated_rows, Some(5_000));
    let types: Vec<_> = page.datasets[0].fields.iter().map(|field| (field.name.as_str(), field.field_type())).collect();
    let expected = [
        ("id", FieldType::Integer),
        ("email", FieldType::String),
        ("name", FieldType::String),
        ("segment", FieldType::String),
        ("country", FieldType::String),
        ("lifetime_value", FieldType::Decimal),
        ("consent", FieldType::Boolean),
        ("signup_date", FieldType::Date),
        ("updated_at", FieldType::Timestamp),
    ];
    assert_eq!(types, expected);
    let connection = admin.connection("Partner").await.name;
    let mut request = create_export(&connection, "All of it");
    let customers = pb::PayloadTable { table: "customers".into(), ..Default::default() };
    request.export.as_mut().expect("an export").payload = Some(pb::Payload { tables: vec![customers] });
    let created = admin.exports.create_export(request).await.expect("created").into_inner().export;
    assert_eq!(created.expect("an export").payload.expect("a payload").tables[0].fields.len(), 9);
    drop(server);

    fs::remove_dir_all(directory.path().join("datasets/acme")).expect("removed");
    let server = Process::start(&mut outflow(directory.path()));
    let mut admin = server.admin().await;
    assert!(list(&mut admin, all()).await.datasets.is_empty(), "a later start writes nothing");
}
