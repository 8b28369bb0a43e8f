//! Listings, schemas and links of directories; objects; sources that are missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::objects::ObjectSource;
use super::*;
use crate::model::FieldType;

fn acme() -> OrganizationId {
    OrganizationId::parse("acme").unwrap()
}

fn directory(location: &Path) -> Datasets {
    let settings = SourceSettings { location: location.to_str().unwrap().to_owned(), secrets: BTreeMap::new() };
    Datasets::new(DatasetSettings { default: Some(settings), organizations: BTreeMap::new() }, &Dialer::default())
        .unwrap()
}

/// Opens all fields of a table.
async fn open(datasets: &Datasets, table: &str) -> Result<PinnedTable, DeliveryError> {
    let table = PayloadTable { table: table.into(), fields: Vec::new(), filters: Vec::new() };
    let opened = datasets.open(&acme(), &[table]).await?;
    let [opened] = opened.try_into().unwrap();
    Ok(opened)
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let batch = batch.unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn ids(count: i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(0..count))
}

fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

async fn fields(datasets: &Datasets, table: &str) -> Vec<(String, FieldType)> {
    let found = datasets.get(&acme(), table).await.unwrap().unwrap();
    found.fields.into_iter().map(|field| (field.name, field.field_type)).collect()
}

async fn open_code(datasets: &Datasets, table: &str) -> FailureCode {
    open(datasets, table).await.unwrap_err().code
}

fn named(fields: &[(&str, FieldType)]) -> Vec<(String, FieldType)> {
    fields.iter().map(|(name, field_type)| ((*name).to_owned(), *field_type)).collect()
}

#[tokio::test]
async fn a_directory_has_tables_of_three_formats_and_of_folders() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("acme");
    fs::create_dir_all(folder.join("parts")).unwrap();
    let nested: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None]));
    fs::write(folder.join("a.parquet"), parquet(vec![("id", ids(2)), ("tags", nested)])).unwrap();
    fs::write(folder.join("b.csv"), "\u{feff}id,\"full, name\"\n1,x\n").unwrap();
    fs::write(folder.join("c.csv"), "id,amount,unused\n1,2.50,x\n").unwrap();
    let schema = r#"{"fields": [{"name": "amount", "type": "decimal", "precision": 9, "scale": 2},
                                {"name": "id", "type": "integer"}]}"#;
    fs::write(folder.join("c.schema.json"), schema).unwrap();
    fs::write(folder.join("d.jsonl"), "{\"b\": 1, \"a\": {}}\n\n{\"c\": null}\n").unwrap();
    fs::write(folder.join("parts/0.parquet"), parquet(vec![("id", ids(3)), ("x", ids(3))])).unwrap();
    let second = parquet(vec![("x", texts(&["a"])), ("id", ids(1)), ("y", ids(1))]);
    fs::write(folder.join("parts/1.parquet"), second).unwrap();
    for ignored in ["parts/_SUCCESS", "parts/.hidden.parquet", ".e.csv", "readme.txt", "\u{1}.csv"] {
        fs::write(folder.join(ignored), "x").unwrap();
    }
    let datasets = directory(root.path());
    assert_eq!(datasets.tables(&acme()).await.unwrap(), ["a", "b", "c", "d", "parts"]);
    let integer = FieldType::Integer;
    assert_eq!(fields(&datasets, "a").await, named(&[("id", integer), ("tags", FieldType::Unsupported)]));
    assert_eq!(fields(&datasets, "b").await, named(&[("id", FieldType::String), ("full, name", FieldType::String)]));
    let amount = FieldType::Decimal { precision: 9, scale: 2 };
    assert_eq!(fields(&datasets, "c").await, named(&[("amount", amount), ("id", integer)]));
    let keys = named(&[("a", FieldType::Unsupported), ("b", FieldType::String), ("c", FieldType::String)]);
    assert_eq!(fields(&datasets, "d").await, keys);
    let parts = named(&[("id", integer), ("x", FieldType::Unsupported), ("y", integer)]);
    assert_eq!(fields(&datasets, "parts").await, parts);

    let found = datasets.list(&acme()).await.unwrap();
    let rows: Vec<_> = found.iter().map(|dataset| dataset.estimated_rows).collect();
    assert_eq!(rows, [Some(2), None, None, None, Some(4)]);
    assert!(found.iter().all(|dataset| dataset.estimated_bytes.is_some_and(|bytes| bytes > 0)));
    assert!(found.iter().all(|dataset| dataset.update_time.is_some()));
    assert!(datasets.tables(&OrganizationId::parse("other").unwrap()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_listed_without_fields_and_does_not_open() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("acme");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("broken.parquet"), "no parquet at all").unwrap();
    fs::write(folder.join("empty.csv"), "").unwrap();
    fs::write(folder.join("good.csv"), "id\n1\n").unwrap();
    fs::write(folder.join("twice.csv"), "id,id\n1,2\n").unwrap();
    fs::write(folder.join("two.csv"), "id\n").unwrap();
    fs::write(folder.join("two.jsonl"), "{}\n").unwrap();
    fs::write(folder.join("undeclared.csv"), "id\n").unwrap();
    fs::write(folder.join("undeclared.schema.json"), r#"{"fields": [{"name": "x", "type": "string"}]}"#).unwrap();
    let datasets = directory(root.path());
    let counts = datasets.list(&acme()).await.unwrap().into_iter().map(|found| (found.table, found.fields.len()));
    let expected = [("broken", 0), ("empty", 0), ("good", 1), ("twice", 0), ("two", 0), ("undeclared", 0)]
        .map(|(n, c)| (n.into(), c));
    assert_eq!(counts.collect::<Vec<(String, usize)>>(), expected);
    for table in ["broken", "empty", "twice", "two", "undeclared"] {
        assert!(datasets.get(&acme(), table).await.is_err(), "{table}");
        assert_eq!(open_code(&datasets, table).await, FailureCode::DatasetUnavailable, "{table}");
    }
}

#[tokio::test]
async fn links_that_leave_the_location_are_not_followed() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(outside.path().join("folder")).unwrap();
    for path in [outside.path().join("secret.csv"), outside.path().join("folder/0.parquet")] {
        fs::write(path, parquet(vec![("id", ids(1))])).unwrap();
    }
    let folder = root.path().join("acme");
    fs::create_dir_all(folder.join("parts")).unwrap();
    fs::create_dir_all(root.path().join("shared")).unwrap();
    fs::write(root.path().join("shared/inside.csv"), "id\n1\n").unwrap();
    symlink(outside.path().join("secret.csv"), folder.join("secret.csv")).unwrap();
    symlink("../../../../../../../../etc/passwd", folder.join("passwd.csv")).unwrap();
    symlink(outside.path().join("folder"), folder.join("folder")).unwrap();
    symlink(outside.path().join("folder/0.parquet"), folder.join("parts/0.parquet")).unwrap();
    symlink("nothing", folder.join("dangling.csv")).unwrap();
    symlink("loop.csv", folder.join("loop.csv")).unwrap();
    symlink("../shared/inside.csv", folder.join("inside.csv")).unwrap();
    symlink(outside.path(), root.path().join("globex")).unwrap();
    let datasets = directory(root.path());
    assert_eq!(datasets.tables(&acme()).await.unwrap(), ["inside"]);
    assert!(datasets.tables(&OrganizationId::parse("globex").unwrap()).await.unwrap().is_empty());
    for table in ["../shared/inside", "../acme/inside", "inside.csv", "/etc/passwd", "secret", ".."] {
        assert_eq!(datasets.get(&acme(), table).await.unwrap(), None, "{table}");
        assert_eq!(open_code(&datasets, table).await, FailureCode::FieldMissing, "{table}");
    }

    // A file that is replaced by a link after the listing is another file.
    let opened = open(&datasets, "inside").await.unwrap();
    let TableContent::Csv(files) = opened.content else { panic!("not CSV") };
    fs::remove_file(root.path().join("shared/inside.csv")).unwrap();
    symlink(outside.path().join("secret.csv"), root.path().join("shared/inside.csv")).unwrap();
    assert_eq!(files[0].read_at(0, 2).unwrap_err().code, FailureCode::SourceChanged);
}

#[tokio::test]
async fn a_changed_file_has_a_new_schema_and_reads_of_the_old_one_fail() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("acme");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("t.parquet");
    fs::write(&path, parquet(vec![("id", ids(10))])).unwrap();
    let datasets = directory(root.path());
    let opened = open(&datasets, "t").await.unwrap();
    assert_eq!((opened.fields.len(), opened.estimated_rows), (1, Some(10)));
    let TableContent::Parquet(files) = opened.content else { panic!("not Parquet") };
    assert_eq!(&files[0].read_at(0, 4).unwrap()[..], b"PAR1");
    let rows = ParquetRecordBatchReaderBuilder::try_new(files[0].clone()).unwrap().build().unwrap();
    assert_eq!(rows.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 10);
    let before = files[0].identity();

    fs::write(&path, parquet(vec![("id", ids(10)), ("more", ids(10))])).unwrap();
    assert_eq!(files[0].read_at(0, 4).unwrap_err().code, FailureCode::SourceChanged);
    let unopened = files[0].clone();
    assert_eq!(unopened.read_at(u64::MAX, 1).unwrap_err().code, FailureCode::SourceChanged);
    assert_eq!(fields(&datasets, "t").await.len(), 1, "the listing is cached");
    let opened = open(&datasets, "t").await.unwrap();
    assert_eq!(opened.fields.len(), 2);
    assert_eq!(fields(&datasets, "t").await.len(), 2, "opening refreshes the listing");
    let TableContent::Parquet(files) = opened.content else { panic!("not Parquet") };
    assert_ne!(files[0].identity(), before);
    fs::remove_file(&path).unwrap();
    assert_eq!(files[0].read_at(0, 4).unwrap_err().code, FailureCode::SourceChanged);
    assert_eq!(open_code(&datasets, "t").await, FailureCode::FieldMissing);
}

#[tokio::test]
async fn an_organization_without_a_source_has_no_tables_and_a_missing_location_is_an_error() {
    let none = Datasets::new(DatasetSettings::default(), &Dialer::default()).unwrap();
    assert!(!none.is_configured(&acme()) && none.list(&acme()).await.unwrap().is_empty());
    assert_eq!(open_code(&none, "t").await, FailureCode::DatasetNotConfigured);
    let root = tempfile::tempdir().unwrap();
    let missing = directory(&root.path().join("missing"));
    assert!(missing.is_configured(&acme()));
    assert_eq!(missing.list(&acme()).await.unwrap_err().code, FailureCode::DatasetUnavailable);
    assert_eq!(open_code(&missing, "t").await, FailureCode::DatasetUnavailable);
}

#[tokio::test]
async fn objects_are_read_by_blocks_and_pinned_to_their_etag() {
    let store = Arc::new(InMemory::new());
    let large = vec![7_u8; 1_300_000];
    for (key, bytes) in [
        ("data/acme/t.parquet", parquet(vec![("id", ids(100))])),
        ("data/acme/parts/0.parquet", parquet(vec![("id", ids(1))])),
        ("data/acme/parts/deep/0.parquet", parquet(vec![("id", ids(1))])),
        ("data/acme/large.csv", [b"id\n".to_vec(), large].concat()),
        ("data/acme-2/foreign.csv", b"id\n".to_vec()),
    ] {
        store.put(&key.into(), bytes.into()).await.unwrap();
    }
    let source = ObjectSource::of_store(Arc::clone(&store) as Arc<dyn ObjectStore>, "data");
    let tables = listing::tables(source.list(&acme(), &BlockCache::new()).await.unwrap());
    assert_eq!(tables.keys().map(String::as_str).collect::<Vec<_>>(), ["large", "parts", "t"]);
    assert_eq!(tables["parts"].as_ref().unwrap().files.len(), 1);
    let (schemas, permits) = (FileSchemas::new(), Arc::new(Semaphore::new(1)));
    let deadline = Instant::now() + SCHEMA_TIMEOUT;
    let schema = schemas.of_table(tables["t"].as_ref().unwrap(), &permits, deadline).await.unwrap();
    assert_eq!(schema.dataset(&acme(), "t", tables["t"].as_ref().unwrap()).estimated_rows, Some(100));

    let file = tables["large"].as_ref().unwrap().files[0].clone();
    let read = file.clone();
    let ends = blocking(move || Ok((read.read_at(0, 5)?, read.read_at(524_286, 4)?, read.read_at(1_300_001, 2)?)));
    let (start, across, end) = ends.await.unwrap();
    assert_eq!((&start[..], &across[..], &end[..]), (&b"id\n\x07\x07"[..], &[7; 4][..], &[7; 2][..]));
    store.put(&"data/acme/large.csv".into(), vec![8_u8; 1_300_003].into()).await.unwrap();
    let changed = blocking(move || file.read_at(600_000, 700_000));
    assert_eq!(changed.await.unwrap_err().code, FailureCode::SourceChanged);
}
