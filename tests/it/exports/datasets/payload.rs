//! Payloads that do not suit the datasets, and payloads without fields.

use std::fs;

use outflow::grpc::proto as pb;
use outflow::grpc::proto::payload_field::Transform;
use outflow::grpc::proto::payload_filter::Comparison;
use outflow::model::{OrganizationId, PayloadTable};
use prost_types::value::Kind;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::FILES;
use crate::support::{Clients as _, ErrorExt as _, TestServer, create_export, on_both_with_datasets};

fn field(name: &str, transform: Transform) -> pb::PayloadField {
    pb::PayloadField { field: name.to_owned(), transform: transform.into(), ..Default::default() }
}

fn filter(name: &str, comparison: Comparison, values: Vec<Kind>) -> pb::PayloadFilter {
    let values = values.into_iter().map(Into::into).collect();
    pb::PayloadFilter { field: name.to_owned(), comparison: comparison.into(), values }
}

fn text(value: &str) -> Kind {
    Kind::StringValue(value.to_owned())
}

fn customers(fields: Vec<pb::PayloadField>, filters: Vec<pb::PayloadFilter>) -> pb::PayloadTable {
    pb::PayloadTable { table: "customers".into(), fields, filters }
}

fn with_tables(connection: &str, tables: Vec<pb::PayloadTable>) -> pb::CreateExportRequest {
    let mut request = create_export(connection, "Checked");
    request.export.as_mut().expect("an export").payload = Some(pb::Payload { tables });
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_does_not_suit_the_datasets_is_reported_at_once() {
    on_both_with_datasets(FILES, async |server: TestServer, _| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let fields = vec![
            field("emial", Transform::None),
            field("score", Transform::Sha256),
            field("email", Transform::Sha256Normalized),
        ];
        let filters = vec![
            filter("id", Comparison::Equals, vec![text("one")]),
            filter("id", Comparison::In, vec![Kind::NumberValue(1.0), Kind::NumberValue(9_007_199_254_740_992.0)]),
            filter("spent", Comparison::Less, vec![Kind::NumberValue(0.5)]),
            filter("spent", Comparison::Less, vec![text("0.125")]),
            filter("consent", Comparison::Greater, vec![Kind::BoolValue(true)]),
            filter("signup", Comparison::Equals, vec![text("yesterday")]),
            filter("seen", Comparison::Greater, vec![text("2026-01-02T03:04:05")]),
            filter("nothing", Comparison::IsNull, vec![]),
            filter("email", Comparison::Equals, vec![Kind::NumberValue(5.0)]),
        ];
        let events = pb::PayloadTable {
            table: "events".into(),
            fields: vec![field("tags", Transform::None)],
            filters: Vec::new(),
        };
        let unknown = pb::PayloadTable { table: "orders".into(), ..Default::default() };
        let mut request = with_tables(&connection, vec![customers(fields, filters), events, unknown]);
        let expected = [
            "tables[0].fields[0].field",
            "tables[0].fields[1].transform",
            "tables[0].filters[0].values[0]",
            "tables[0].filters[1].values[1]",
            "tables[0].filters[2].values[0]",
            "tables[0].filters[3].values[0]",
            "tables[0].filters[4].comparison",
            "tables[0].filters[5].values[0]",
            "tables[0].filters[6].values[0]",
            "tables[0].filters[7].field",
            "tables[0].filters[8].values[0]",
            "tables[1].fields[0].field",
            "tables[2].table",
        ];
        let expected: Vec<_> = expected.iter().map(|field| format!("export.payload.{field}")).collect();
        let before = server.database().await.content().await;
        for validate_only in [false, true] {
            request.validate_only = validate_only;
            let refusal = admin.exports.create_export(request.clone()).await.expect_err("it does not suit");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
            assert_eq!(refusal.fields(), expected);
            let details = refusal.get_error_details();
            let hints: Vec<_> = details.bad_request().expect("violations").field_violations.iter().collect();
            assert_eq!(hints[0].description, "is not a field of `customers`; did you mean `email`?");
            assert!(hints[3].description.contains("send it as a string"), "{}", hints[3].description);
            assert_eq!(hints[12].description, "is not a table; did you mean `Orders`?");
        }
        assert_eq!(server.database().await.content().await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contributor_without_the_right_learns_nothing_of_the_datasets() {
    on_both_with_datasets(FILES, async |server: TestServer, _| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.connection("Not shared").await.name;
        let unknown = pb::PayloadTable { table: "orders".into(), ..Default::default() };
        let refusal = ann.exports.create_export(with_tables(&connection, vec![unknown])).await.expect_err("not usable");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_typed_filter_is_accepted_and_stored_as_written() {
    on_both_with_datasets(FILES, async |server: TestServer, _| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let filters = vec![
            filter("id", Comparison::In, vec![Kind::NumberValue(1.0), text("18446744073709551615")]),
            filter("email", Comparison::NotEquals, vec![text("a@example.com")]),
            filter("score", Comparison::GreaterOrEqual, vec![Kind::NumberValue(0.25)]),
            filter("spent", Comparison::Less, vec![text("12.5")]),
            filter("consent", Comparison::Equals, vec![Kind::BoolValue(true)]),
            filter("signup", Comparison::Greater, vec![text("2026-01-01")]),
            filter("seen", Comparison::LessOrEqual, vec![text("2026-01-02T03:04:05+01:00")]),
            filter("at", Comparison::IsNotNull, vec![]),
        ];
        let table =
            customers(vec![field("email", Transform::Sha256Normalized), field("id", Transform::Sha256)], filters);
        let created =
            admin.exports.create_export(with_tables(&connection, vec![table.clone()])).await.expect("created");
        assert_eq!(created.into_inner().export.expect("an export").payload.expect("a payload").tables, [table]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_without_fields_holds_those_of_the_save_and_a_new_column_does_not_appear() {
    on_both_with_datasets(FILES, async |server: TestServer, location| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let events = pb::PayloadTable { table: "events".into(), ..Default::default() };
        let orders = pb::PayloadTable { table: "Orders".into(), ..Default::default() };
        let request = with_tables(&connection, vec![events, orders.clone()]);
        let created = admin.exports.create_export(request).await.expect("created").into_inner().export;
        let created = created.expect("an export");
        let names = |export: &pb::Export| -> Vec<Vec<String>> {
            let tables = &export.payload.as_ref().expect("a payload").tables;
            tables.iter().map(|table| table.fields.iter().map(|field| field.field.clone()).collect()).collect()
        };
        assert_eq!(names(&created), [["name"], ["id"]], "a list cannot be exported");

        fs::write(location.join("acme/Orders.csv"), "id,total\n").expect("written");
        // Opening the table reads the listing again before its cache expires.
        let acme = OrganizationId::parse("acme").expect("an id");
        let table = PayloadTable { table: "Orders".into(), fields: Vec::new(), filters: Vec::new() };
        server.app.datasets().open(&acme, &[table]).await.expect("opened");
        let rename = pb::Export { name: created.name.clone(), display_name: "Renamed".into(), ..Default::default() };
        let update = pb::UpdateExportRequest { export: Some(rename), ..Default::default() };
        let renamed = admin.exports.update_export(update).await.expect("renamed").into_inner().export;
        assert_eq!(renamed.expect("an export").payload, created.payload);

        let payload = Some(pb::Payload { tables: vec![orders] });
        let change = pb::Export { name: created.name.clone(), payload, ..Default::default() };
        let update = pb::UpdateExportRequest { export: Some(change), ..Default::default() };
        let updated = admin.exports.update_export(update).await.expect("updated").into_inner().export;
        assert_eq!(
            names(&updated.expect("an export")),
            [["id", "total"]],
            "an update without fields takes the new ones"
        );
    })
    .await;
}
