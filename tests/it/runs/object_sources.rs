//! Runs read datasets of object stores: of each server that destinations write to.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use outflow::grpc::proto as pb;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use pb::export_run::State;
use pb::payload_field::Transform;
use uuid::Uuid;

use super::shared::{Shared, export_of, field};
use crate::destinations::objects::azurite::Azurite;
use crate::destinations::objects::bucket::{Bucket, destination};
use crate::destinations::objects::export::Export;
use crate::destinations::objects::gcs_server::GcsServer;
use crate::destinations::objects::tls::Tls;
use crate::destinations::objects::versitygw::Versitygw;
use crate::support::{Backend, Client, Clients as _, parent};

/// Rows of each of two Parquet files, which are larger than the blocks that are cached.
const ROWS_PER_FILE: i64 = 100_000;

/// A Parquet file with the field `id`, neither encoded nor compressed.
fn parquet(first: i64) -> Bytes {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + ROWS_PER_FILE));
    let batch = RecordBatch::try_from_iter([("id", ids)]).expect("a batch");
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("a file").into()
}

/// Puts two tables of `acme` and one of another organization below the prefix `data`.
async fn fill(bucket: &dyn Bucket) {
    for (organization, files) in [
        (
            "acme",
            vec![
                ("customers.csv", "id,email\n1,a@example.com\n".into()),
                ("orders/part-0.parquet", parquet(0)),
                ("orders/part-1.parquet", parquet(ROWS_PER_FILE)),
            ],
        ),
        ("zeta", vec![("secrets.csv", "id\n".into())]),
    ] {
        let files = files.into_iter().map(|(path, content)| (path.to_owned(), content)).collect();
        let upload = Export { run: Uuid::now_v7(), files, manifest_path: "_SUCCESS.json".to_owned() };
        let to = destination(bucket, &format!("data/{organization}"));
        upload.deliver(to.as_ref(), &upload.attempt(0, &Arc::default())).await.expect("uploaded");
    }
}

/// Runs an export of every row that the bucket holds for the organization.
async fn assert_runs_read(bucket: &dyn Bucket, tls: &Tls, location: &str, options: &str) {
    fill(bucket).await;
    let (options, authorities) = (format!("\"*\" = {{ {options} }}"), tls.certificate());
    let settings = [
        ("dataset_location", location),
        ("dataset_options", options.as_str()),
        ("outbound_ca_file", authorities.to_str().expect("a path")),
    ];
    let shared = Shared::new(Backend::Sqlite, &settings).await;
    let server = shared.server(&[]).await;
    let mut admin: Client = server.admin().await;
    let request = pb::ListDatasetsRequest { parent: parent(), ..Default::default() };
    let datasets = admin.exports.list_datasets(request).await.expect("listed").into_inner().datasets;
    let found: Vec<_> = datasets.iter().map(|dataset| (dataset.table.as_str(), dataset.fields.len())).collect();
    assert_eq!(found, [("customers", 2), ("orders", 1)], "{location}");

    let connection = admin.local_directory("partner").await;
    let fields = vec![field("id", Transform::None)];
    let export = admin.create(export_of(&connection.name, "orders", fields, "weekly")).await;
    let started = admin.run(&export).await.expect("queued");
    let run = admin.follow(&started.name).await;
    assert_eq!(run.state(), State::Succeeded, "{location}: {run:?}");
    let files = shared.files();
    let manifest = shared.manifest(files.iter().find(|path| path.ends_with(".manifest.json")).expect("a manifest"));
    let expected = (0..2 * ROWS_PER_FILE).fold("id\r\n".to_owned(), |mut text, id| {
        write!(text, "{id}\r\n").expect("a row");
        text
    });
    assert!(shared.text("partner/weekly", &manifest.files[0]) == expected, "{location}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_read_datasets_in_s3() {
    let server = Versitygw::start().await;
    let location = format!("s3://bucket/data?endpoint=https://{}&region=us-east-1", server.address());
    let options = "access_key_id = \"root\", secret_access_key = \"secret-of-the-root\"";
    assert_runs_read(&server, &server.tls, &location, options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_read_datasets_in_azure() {
    let server = Azurite::start().await;
    let endpoint = format!("https://{}/outflow", server.address());
    let location = format!("az://container/data?account_name=outflow&endpoint={endpoint}");
    assert_runs_read(&server, &server.tls, &location, &format!("access_key = \"{}\"", server.key)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_read_datasets_in_gcs() {
    let server = GcsServer::start().await;
    let mut key = server.account.document();
    let fields = key.as_object_mut().expect("an object");
    // They would change the endpoint of a source, whose options the operator sets.
    fields.retain(|name, _| !["gcs_base_url", "disable_oauth"].contains(&name.as_str()));
    let location = format!("gs://bucket/data?base_url=https://{}", server.address());
    assert_runs_read(&server, &server.tls, &location, &format!("service_account_key = '''{key}'''")).await;
}
