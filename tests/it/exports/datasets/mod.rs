//! Datasets: ListDatasets and GetDataset, and the check of payloads against them.

mod payload;
mod postgres;
mod sample;
mod unavailable;

use outflow::grpc::proto as pb;
use outflow::grpc::proto::dataset_field::FieldType;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, on_both, on_both_with_datasets, parent};

/// A table with a declared schema, and two whose fields are texts.
const FILES: &[(&str, &str)] = &[
    (
        "acme/customers.csv",
        "id,email,score,spent,consent,signup,seen,at\n1,a@example.com,0.5,12.50,true,2026-01-02,,06:00:00\n",
    ),
    (
        "acme/customers.schema.json",
        r#"{"fields": [
            {"name": "id", "type": "integer"}, {"name": "email", "type": "string"}, {"name": "score", "type": "double"},
            {"name": "spent", "type": "decimal", "precision": 12, "scale": 2}, {"name": "consent", "type": "boolean"},
            {"name": "signup", "type": "date"}, {"name": "seen", "type": "timestamp"}, {"name": "at", "type": "time"}]}"#,
    ),
    ("acme/events.jsonl", "{\"name\": \"open\", \"tags\": []}\n"),
    ("acme/Orders.csv", "id\n"),
    ("zeta/secrets.csv", "id\n"),
];

async fn list(client: &mut Client, request: pb::ListDatasetsRequest) -> pb::ListDatasetsResponse {
    client.exports.list_datasets(request).await.expect("listed").into_inner()
}

fn all() -> pb::ListDatasetsRequest {
    pb::ListDatasetsRequest { parent: parent(), ..Default::default() }
}

async fn get(client: &mut Client, table: &str) -> Result<pb::Dataset, tonic::Status> {
    let name = format!("{}/datasets/{table}", parent());
    let response = client.exports.get_dataset(pb::GetDatasetRequest { name }).await?;
    Ok(response.into_inner().dataset.expect("a dataset"))
}

fn tables(page: &pb::ListDatasetsResponse) -> Vec<&str> {
    page.datasets.iter().map(|dataset| dataset.table.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_list_and_get_the_datasets_of_their_organization() {
    on_both_with_datasets(FILES, async |server, _| {
        let mut viewer = server.viewer().await;
        let page = list(&mut viewer, all()).await;
        assert_eq!((tables(&page), page.next_page_token.as_str()), (vec!["Orders", "customers", "events"], ""));
        let customers = &page.datasets[1];
        assert_eq!(customers.name, "organizations/acme/datasets/customers");
        assert!(customers.estimated_bytes.is_some_and(|bytes| bytes > 0) && customers.update_time.is_some());
        let types: Vec<_> = customers.fields.iter().map(|field| (field.name.as_str(), field.field_type())).collect();
        let expected = [
            ("id", FieldType::Integer),
            ("email", FieldType::String),
            ("score", FieldType::Double),
            ("spent", FieldType::Decimal),
            ("consent", FieldType::Boolean),
            ("signup", FieldType::Date),
            ("seen", FieldType::Timestamp),
            ("at", FieldType::Time),
        ];
        assert_eq!(types, expected);
        assert_eq!((customers.fields[3].precision, customers.fields[3].scale), (12, 2));
        assert_eq!(page.datasets[2].fields[1].field_type(), FieldType::Unsupported);
        assert_eq!(&get(&mut viewer, "customers").await.expect("found"), customers);

        for absent in ["secrets", "customers.csv", "../zeta/secrets", "a/b"] {
            let refusal = get(&mut viewer, absent).await.expect_err("absent");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"), "{absent}");
        }
        for malformed in ["", "\u{1}", &"x".repeat(121)] {
            let refusal = get(&mut viewer, malformed).await.expect_err("malformed");
            assert_eq!((refusal.code(), refusal.fields()), (Code::InvalidArgument, vec!["name".to_owned()]));
        }
        let foreign = pb::GetDatasetRequest { name: "organizations/zeta/datasets/secrets".into() };
        let refusal = viewer.exports.get_dataset(foreign).await.expect_err("foreign");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datasets_are_listed_by_pages_and_searched_in_any_case() {
    on_both_with_datasets(FILES, async |server, _| {
        let mut viewer = server.viewer().await;
        let (mut found, mut request) = (Vec::new(), pb::ListDatasetsRequest { page_size: 1, ..all() });
        loop {
            let page = list(&mut viewer, request.clone()).await;
            found.extend(tables(&page).into_iter().map(ToOwned::to_owned));
            assert!(page.datasets.len() <= 1);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(found, ["Orders", "customers", "events"]);
        let searched = list(&mut viewer, pb::ListDatasetsRequest { search: "ORD".into(), ..all() }).await;
        assert_eq!(tables(&searched), ["Orders"]);
        let first = list(&mut viewer, pb::ListDatasetsRequest { page_size: 1, ..all() }).await;
        let other = pb::ListDatasetsRequest { search: "e".into(), page_token: first.next_page_token, ..all() };
        let refusal = viewer.exports.list_datasets(other).await.expect_err("a token of another list");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_without_a_source_has_no_datasets_and_saves_payloads_unchecked() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        assert!(list(&mut admin, all()).await.datasets.is_empty());
        let refusal = get(&mut admin, "customers").await.expect_err("absent");
        assert_eq!(refusal.code(), Code::NotFound);
        let connection = admin.connection("Partner").await.name;
        let mut request = crate::support::create_export(&connection, "Unchecked");
        let table = pb::PayloadTable { table: "anything".into(), ..Default::default() };
        request.export.as_mut().expect("an export").payload = Some(pb::Payload { tables: vec![table.clone()] });
        let created = admin.exports.create_export(request).await.expect("created").into_inner().export;
        assert_eq!(created.expect("an export").payload.expect("a payload").tables, [table]);
    })
    .await;
}
