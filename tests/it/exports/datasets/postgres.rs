//! A PostgreSQL database with a schema per organization.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use outflow::delivery::datasets::{DatasetSettings, Datasets, PinnedTable, SourceSettings, TableContent};
use outflow::dialer::Dialer;
use outflow::grpc::proto as pb;
use outflow::grpc::proto::dataset_field::FieldType;
use outflow::model::{
    Comparison, FailureCode, OrganizationId, PayloadField, PayloadFilter, PayloadTable, Secret, Transform,
};
use serde_json::{Value, json};
use tonic::Code;

use super::{all, get, list, tables};
use crate::destinations::postgresql::fixture::{Fixture, HOST, PASSWORD};
use crate::destinations::services::dialer;
use crate::support::{Backend, Clients as _, Database, ErrorExt as _, TestServer, create_export, new_database};

const SCHEMA: &str = r#"
CREATE SCHEMA t_acme; CREATE SCHEMA t_zeta;
CREATE TYPE t_acme.mood AS ENUM ('good', 'bad');
CREATE DOMAIN t_acme.money AS numeric(10, 2) CHECK (VALUE >= 0);
CREATE TABLE t_acme."every type" (
    id int8, small int2, flag bool, real float4, double float8, exact numeric(12, 2), free numeric, spent t_acme.money,
    words text, short varchar(20), padded char(5), uid uuid, doc jsonb, mood t_acme.mood, raw bytea,
    day date, clock time, local timestamp, instant timestamptz, many int4[], place point
);
INSERT INTO t_acme."every type" VALUES
    (1, -7, true, 0.1, 0.1, 12.50, 123456789012345678901234567890.125, 3.20, E'a\tü', 'short', 'ab',
     '0193b6f0-0000-7000-8000-000000000001', '{"a": 1}', 'bad', '\x00ff', '2026-02-28', '06:30:00.5',
     '2026-01-02 03:04:05', '2026-01-02 03:04:05.123456+01', '{1,2}', '(1,2)'),
    (2, NULL, false, NULL, NULL, -0.05, NULL, NULL, NULL, 'Zebra', NULL, NULL, NULL, 'good', NULL, '1969-12-31', NULL,
     NULL, NULL, NULL, NULL),
    (3, 0, NULL, 'NaN', 'Infinity', 0, 'NaN', 0, 'b', 'apple', '', NULL, '[]', NULL, '', NULL, '00:00', NULL,
     '1900-01-01 00:00+00', NULL, NULL);
CREATE VIEW t_acme.rising AS SELECT id, words FROM t_acme."every type" WHERE id < 3;
CREATE TABLE t_acme."a/b" (id int4);
CREATE TABLE t_zeta.secrets (id int4);
CREATE TABLE t_acme.long AS SELECT n AS id, repeat('x', 100) AS text FROM generate_series(1, 20000) n;
ANALYZE t_acme.long;
CREATE TABLE t_acme.endless (day date, instant timestamptz);
INSERT INTO t_acme.endless VALUES ('infinity', 'infinity');
"#;

/// A new database with these tables, and its URL.
async fn source() -> (Database, String) {
    let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
    let database = Database::open(&url).await;
    database.execute(SCHEMA).await;
    (database, format!("{url}?schema_prefix=t_"))
}

fn datasets(location: String) -> Datasets {
    datasets_through(&Dialer::default(), location, &[])
}

fn datasets_through(dialer: &Dialer, location: String, secrets: &[(&str, &str)]) -> Datasets {
    let secret = |(key, value): &(&str, &str)| ((*key).to_owned(), Secret::new((*value).to_owned()));
    let default = Some(SourceSettings { location, secrets: secrets.iter().map(secret).collect() });
    Datasets::new(DatasetSettings { default, organizations: [].into() }, dialer).expect("settings")
}

fn acme() -> OrganizationId {
    OrganizationId::parse("acme").expect("an id")
}

fn payload(table: &str, fields: &[&str], filters: Vec<(&str, Comparison, Vec<Value>)>) -> PayloadTable {
    let field = |field: &&str| PayloadField {
        field: (*field).to_owned(),
        output_name: String::new(),
        transform: Transform::None,
        field_type: None,
    };
    let filter = |(field, comparison, values): (&str, Comparison, Vec<Value>)| PayloadFilter {
        field: field.to_owned(),
        comparison,
        values,
    };
    PayloadTable {
        table: table.to_owned(),
        fields: fields.iter().map(field).collect(),
        filters: filters.into_iter().map(filter).collect(),
    }
}

/// Reads all batches of a table.
async fn read(datasets: &Datasets, payload: PayloadTable) -> Result<Vec<RecordBatch>, FailureCode> {
    let opened = datasets.open(&acme(), &[payload]).await.map_err(|error| error.code)?;
    let [opened] = opened.try_into().expect("one table");
    read_all(opened).await
}

async fn read_all(opened: PinnedTable) -> Result<Vec<RecordBatch>, FailureCode> {
    let TableContent::Rows(mut rows) = opened.content else { panic!("not rows of a query") };
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.map_err(|error| error.code)? {
        assert_eq!(batch.schema(), opened.schema);
        batches.push(batch);
    }
    Ok(batches)
}

/// The values of a column as texts.
fn column(batches: &[RecordBatch], name: &str) -> Vec<String> {
    let options = FormatOptions::new().with_null("null");
    let texts = |batch: &RecordBatch| {
        let column = batch.column_by_name(name).expect("a column").clone();
        let formatter = ArrayFormatter::try_new(&column, &options).expect("a formatter");
        (0..column.len()).map(|row| formatter.value(row).to_string()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(texts).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_views_of_the_schema_are_datasets() {
    let (_database, url) = source().await;
    let server = TestServer::start_with(Backend::Sqlite, vec![("dataset_location", url)]).await;
    let mut viewer = server.viewer().await;
    let page = list(&mut viewer, all()).await;
    assert_eq!(tables(&page), ["a/b", "endless", "every type", "long", "rising"]);
    let types: Vec<_> = page.datasets[2].fields.iter().map(|field| (field.name.as_str(), field.field_type())).collect();
    let (text, integer, decimal) = (FieldType::String, FieldType::Integer, FieldType::Decimal);
    let expected = [
        ("id", integer),
        ("small", integer),
        ("flag", FieldType::Boolean),
        ("real", FieldType::Double),
        ("double", FieldType::Double),
        ("exact", decimal),
        ("free", text),
        ("spent", decimal),
        ("words", text),
        ("short", text),
        ("padded", text),
        ("uid", text),
        ("doc", text),
        ("mood", text),
        ("raw", FieldType::Bytes),
        ("day", FieldType::Date),
        ("clock", FieldType::Time),
        ("local", FieldType::Timestamp),
        ("instant", FieldType::Timestamp),
        ("many", FieldType::Unsupported),
        ("place", FieldType::Unsupported),
    ];
    assert_eq!(types, expected);
    let long = &page.datasets[3];
    assert_eq!(long.estimated_rows, Some(20_000));
    assert!(long.estimated_bytes.is_some_and(|bytes| bytes > 2_000_000));
    assert_eq!(get(&mut viewer, "a/b").await.expect("found").name, "organizations/acme/datasets/a/b");
    assert_eq!(get(&mut viewer, "secrets").await.expect_err("of another schema").code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_read_exactly() {
    let (_database, url) = source().await;
    let datasets = datasets(url);
    let rows = read(&datasets, payload("every type", &[], vec![])).await.expect("read");
    let names: Vec<_> = rows[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert!(names.len() == 19 && !names.contains(&"many".to_owned()));
    for (name, expected) in [
        ("id", ["1", "2", "3"]),
        ("small", ["-7", "null", "0"]),
        ("flag", ["true", "false", "null"]),
        ("real", ["0.1", "null", "NaN"]),
        ("double", ["0.1", "null", "inf"]),
        ("exact", ["12.50", "-0.05", "0.00"]),
        ("free", ["123456789012345678901234567890.125", "null", "NaN"]),
        ("spent", ["3.20", "null", "0.00"]),
        ("words", ["a\tü", "null", "b"]),
        ("short", ["short", "Zebra", "apple"]),
        ("padded", ["ab", "null", ""]),
        ("uid", ["0193b6f0-0000-7000-8000-000000000001", "null", "null"]),
        ("doc", ["{\"a\": 1}", "null", "[]"]),
        ("mood", ["bad", "good", "null"]),
        ("raw", ["00ff", "null", ""]),
        ("day", ["2026-02-28", "1969-12-31", "null"]),
        ("clock", ["06:30:00.500", "null", "00:00:00"]),
        ("local", ["2026-01-02T03:04:05Z", "null", "null"]),
        ("instant", ["2026-01-02T02:04:05.123456Z", "null", "1900-01-01T00:00:00Z"]),
    ] {
        assert_eq!(column(&rows, name), expected, "{name}");
    }
    for field in ["day", "instant"] {
        let infinite = read(&datasets, payload("endless", &[field], vec![])).await;
        assert_eq!(infinite.unwrap_err(), FailureCode::ValueNotEncodable, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_pushed_down_with_bound_values() {
    use Comparison::{Equals, Greater, GreaterOrEqual, In, IsNotNull, IsNull, Less, LessOrEqual, NotEquals, NotIn};
    let (_database, url) = source().await;
    let datasets = datasets(url);
    let cases: Vec<(&str, Comparison, Vec<Value>, &[&str])> = vec![
        ("id", GreaterOrEqual, vec![json!(2)], &["2", "3"]),
        ("id", In, vec![json!("1"), json!("99999999999999999999")], &["1"]),
        ("id", Less, vec![json!("99999999999999999999")], &["1", "2", "3"]),
        ("small", NotEquals, vec![json!(0)], &["1"]),
        ("small", NotIn, vec![json!(0), json!(5)], &["1"]),
        ("flag", Equals, vec![json!(true)], &["1"]),
        ("double", LessOrEqual, vec![json!(0.1)], &["1"]),
        ("exact", Equals, vec![json!("12.5")], &["1"]),
        ("exact", Less, vec![json!("0")], &["2"]),
        ("spent", Greater, vec![json!("3.19")], &["1"]),
        ("free", Equals, vec![json!("NaN")], &["3"]),
        ("words", Equals, vec![json!("a\tü")], &["1"]),
        ("words", Equals, vec![json!("' OR true --")], &[]),
        ("words", IsNull, vec![], &["2"]),
        // By bytes: upper-case letters come before all lower-case ones.
        ("short", Less, vec![json!("apple")], &["2"]),
        ("padded", Equals, vec![json!("ab")], &["1"]),
        ("uid", Equals, vec![json!("0193b6f0-0000-7000-8000-000000000001")], &["1"]),
        ("mood", In, vec![json!("bad"), json!("worse")], &["1"]),
        ("raw", IsNotNull, vec![], &["1", "3"]),
        ("day", Less, vec![json!("1970-01-01")], &["2"]),
        ("clock", GreaterOrEqual, vec![json!("06:30:00.5")], &["1"]),
        ("local", Equals, vec![json!("2026-01-02T04:04:05+01:00")], &["1"]),
        ("instant", Less, vec![json!("2026-01-02T02:04:05.123457Z")], &["1", "3"]),
    ];
    for (field, comparison, values, expected) in cases {
        let filter = (field, comparison, values.clone());
        let rows = read(&datasets, payload("every type", &["id"], vec![filter])).await.expect("read");
        assert_eq!(column(&rows, "id"), expected, "{field} {comparison:?} {values:?}");
    }
    let both = vec![("id", Greater, vec![json!(1)]), ("flag", IsNotNull, vec![])];
    let rows = read(&datasets, payload("every type", &["short", "id"], both)).await.expect("read");
    assert_eq!(column(&rows, "short"), ["Zebra"]);
    let missing = read(&datasets, payload("every type", &["nothing"], vec![])).await;
    assert_eq!(missing.unwrap_err(), FailureCode::FieldMissing);
    let changed = read(&datasets, payload("every type", &["id"], vec![("day", Equals, vec![json!(5)])])).await;
    assert_eq!(changed.unwrap_err(), FailureCode::FieldTypeChanged);
    let unsupported = read(&datasets, payload("every type", &["many"], vec![])).await;
    assert_eq!(unsupported.unwrap_err(), FailureCode::FieldTypeChanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_tables_come_in_bounded_batches_from_one_snapshot() {
    let (database, url) = source().await;
    let datasets = datasets(url);
    let opened = datasets.open(&acme(), &[payload("long", &[], vec![])]).await.expect("opened");
    let [opened] = opened.try_into().expect("one table");
    let TableContent::Rows(mut rows) = opened.content else { panic!("not rows of a query") };
    let first = rows.next().await.expect("read").expect("rows").num_rows();
    database.execute("DELETE FROM t_acme.long WHERE id > 5; INSERT INTO t_acme.long VALUES (20001, 'late')").await;
    let mut rest = Vec::new();
    while let Some(batch) = rows.next().await.expect("read") {
        rest.push(batch.num_rows());
    }
    assert_eq!(first + rest.iter().sum::<usize>(), 20_000);
    assert!(first <= 8_192 && rest.iter().all(|count| *count <= 8_192) && rest.len() >= 3, "{first} {rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_reached_by_the_dialer_and_its_certificate_is_verified() {
    let database = Fixture::new(
        "CREATE SCHEMA acme; CREATE TABLE acme.long AS SELECT n AS id FROM generate_series(1, 20000) n; \
         GRANT USAGE ON SCHEMA acme TO writer; GRANT SELECT ON acme.long TO writer",
    )
    .await;
    let authority = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(authority.path(), &database.server.authority).expect("written");
    let location = |host: &str| format!("postgres://writer@{host}:{}/{}", database.server.port, database.database);
    let read_long = async |dialer: &Dialer, location: String, password: &str| {
        let datasets = datasets_through(dialer, location, &[("password", password)]);
        let rows = read(&datasets, payload("long", &[], vec![])).await?;
        Ok(rows.iter().map(RecordBatch::num_rows).sum())
    };
    // The name leads to this host for the dialer alone. No address needs a permit, for the operator names the host.
    let (trusting, plain) = (dialer(Some(&database.server.authority), "*=192.0.2.0"), dialer(None, "*=192.0.2.0"));
    assert_eq!(read_long(&trusting, location(HOST), PASSWORD).await, Ok(20_000));
    let declared = format!("{}?sslrootcert={}", location(HOST), authority.path().display());
    assert_eq!(read_long(&plain, declared, PASSWORD).await, Ok(20_000));
    for (dialer, host, password) in [
        (&plain, HOST, PASSWORD),
        (&trusting, "other.test", PASSWORD),
        (&trusting, HOST, "wrong"),
        (&plain, "missing", ""),
    ] {
        let refused = read_long(dialer, location(host), password).await;
        assert_eq!(refused, Err(FailureCode::DatasetUnavailable), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_cannot_be_saved_while_the_database_is_gone() {
    let (source, url) = source().await;
    let server = TestServer::start_with(Backend::Postgres, vec![("dataset_location", url.clone())]).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    let mut request = create_export(&connection, "Weekly");
    let table = pb::PayloadTable { table: "rising".into(), ..Default::default() };
    request.export.as_mut().expect("an export").payload = Some(pb::Payload { tables: vec![table] });
    let created = admin.exports.create_export(request.clone()).await.expect("created").into_inner().export;
    let created = created.expect("an export");
    assert_eq!(created.payload.expect("a payload").tables[0].fields.len(), 2);

    let (base, name) = url.split_once('?').expect("options").0.rsplit_once('/').expect("a database");
    drop(source);
    let postgres = Database::open(&format!("{base}/postgres")).await;
    postgres.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    // A failed listing ends the one that is cached.
    let gone = server.app.datasets().open(&acme(), &[payload("rising", &[], vec![])]).await.expect_err("gone");
    assert_eq!(gone.code, FailureCode::DatasetUnavailable);
    let refusal = admin.exports.create_export(request.clone()).await.expect_err("unavailable");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DATASET_UNAVAILABLE"));
    let detach = pb::DetachExportRequest { name: created.name, ..Default::default() };
    admin.exports.detach_export(detach).await.expect("detached");
    postgres.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    admin.exports.create_export(request).await.expect("created again");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_of_a_payload_are_read_from_one_snapshot() {
    let (database, url) = source().await;
    for view in ["first", "second", "third"] {
        let select = "SELECT pg_current_snapshot()::text AS snapshot";
        database.execute(&format!("CREATE VIEW t_acme.{view} AS {select}")).await;
    }
    let (datasets, done) = (datasets(url), AtomicBool::new(false));
    let change = async {
        while !done.load(Ordering::Relaxed) {
            database.execute("INSERT INTO t_zeta.secrets VALUES (1)").await;
        }
    };
    let reads = async {
        let mut snapshots = BTreeSet::new();
        for _ in 0..20 {
            let tables = ["first", "second", "third"].map(|view| payload(view, &[], vec![]));
            let mut seen = BTreeSet::new();
            for opened in datasets.open(&acme(), &tables).await.expect("opened") {
                seen.extend(column(&read_all(opened).await.expect("read"), "snapshot"));
            }
            assert_eq!(seen.len(), 1, "{seen:?}");
            snapshots.extend(seen);
        }
        done.store(true, Ordering::Relaxed);
        snapshots
    };
    let (snapshots, ()) = tokio::join!(reads, change);
    assert!(snapshots.len() > 10, "nothing changed meanwhile: {snapshots:?}");
}
