//! Exact bytes of the text formats.

#![expect(clippy::format_collect, reason = "small samples")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::support::{Tables, all_fields, all_types, field, job, run, settings};
use crate::delivery::OutputFormat;
use crate::delivery::engine::EncodingSettings;
use crate::model::json::Object;
use crate::model::{FailureCode, PayloadTable, Transform};

fn encode(batch: &RecordBatch, encoding: EncodingSettings) -> String {
    let tables = Tables::new();
    let table = tables.parquet("t", std::slice::from_ref(batch), 3);
    let mut files = run(job(vec![(all_fields("t"), table)], encoding).unwrap(), 2).unwrap();
    assert_eq!(files.len(), 1);
    files.remove(0).text()
}

fn csv(batch: &RecordBatch, overrides: &Value) -> String {
    let mut all = json!({"compression": "none", "line_ending": "lf"});
    all.as_object_mut().unwrap().extend(overrides.as_object().unwrap().clone());
    encode(batch, settings(&all))
}

#[test]
fn csv_of_every_type() {
    let expected = concat!(
        "flag,small,id,unsigned,single,double,price,wide,name,emoji,segment,blob,day,clock,created,precise\n",
        "true,1,1,1,0.1,0.1,1234.50,0.00001,plain,Zoë 🚀,b2c,/wA=,2026-11-24,00:00:00,2026-11-24T06:00:00Z,",
        "1970-01-01T00:00:00.000000001Z\n",
        "false,-32768,-9223372036854775808,18446744073709551615,-1e30,1e300,-0.05,-0.00001,",
        "\"a \"\"quote\"\", and\r\na line\",=1+1,b2b,YWJj,1969-12-31,23:59:59.999999,1969-12-31T23:59:59.999999Z,",
        "1970-01-01T00:00:00.000001Z\n",
        ",,,,,,,,,,,,,,,\n",
        "true,0,9223372036854775807,0,0.0,-2.0,0.00,0.00000,\"\",-\\\u{1},b2c,\"\",1970-01-01,06:00:00,",
        "0001-01-01T00:00:00.500Z,1970-01-01T00:00:00Z\n",
    );
    assert_eq!(csv(&all_types(), &json!({})), expected);
    let with_crlf = csv(&all_types(), &json!({"line_ending": "crlf"}));
    assert_eq!(with_crlf.matches("\r\n").count(), expected.matches('\n').count());
    assert_eq!(with_crlf.replace("\r\n", "\n"), expected.replace("\r\n", "\n"));
}

#[test]
fn json_lines_of_every_type() {
    let expected = concat!(
        r#"{"flag":true,"small":1,"id":1,"unsigned":1,"single":0.1,"double":0.1,"price":"1234.50","wide":"0.00001","#,
        r#""name":"plain","emoji":"Zoë 🚀","segment":"b2c","blob":"/wA=","day":"2026-11-24","clock":"00:00:00","#,
        r#""created":"2026-11-24T06:00:00Z","precise":"1970-01-01T00:00:00.000000001Z"}"#,
        "\n",
        r#"{"flag":false,"small":-32768,"id":-9223372036854775808,"unsigned":18446744073709551615,"single":-1e30,"#,
        r#""double":1e300,"price":"-0.05","wide":"-0.00001","name":"a \"quote\", and\r\na line","emoji":"=1+1","#,
        r#""segment":"b2b","blob":"YWJj","day":"1969-12-31","clock":"23:59:59.999999","#,
        r#""created":"1969-12-31T23:59:59.999999Z","precise":"1970-01-01T00:00:00.000001Z"}"#,
        "\n",
        r#"{"flag":null,"small":null,"id":null,"unsigned":null,"single":null,"double":null,"price":null,"wide":null,"#,
        r#""name":null,"emoji":null,"segment":null,"blob":null,"day":null,"clock":null,"created":null,"precise":null}"#,
        "\n",
        r#"{"flag":true,"small":0,"id":9223372036854775807,"unsigned":0,"single":0.0,"double":-2.0,"price":"0.00","#,
        r#""wide":"0.00000","name":"","emoji":"-\\\u0001","segment":"b2c","blob":"","day":"1970-01-01","#,
        r#""clock":"06:00:00","created":"0001-01-01T00:00:00.500Z","precise":"1970-01-01T00:00:00Z"}"#,
        "\n",
    );
    let encoded = encode(&all_types(), settings(&json!({"file_format": "jsonl", "compression": "none"})));
    assert_eq!(encoded, expected);
    let for_webhooks = EncodingSettings::new(OutputFormat::JsonLines, &Object::new()).unwrap();
    assert_eq!(encode(&all_types(), for_webhooks), expected);
    for line in encoded.lines() {
        let parsed: Value = serde_json::from_str(line).unwrap();
        assert_eq!(parsed.as_object().unwrap().len(), all_types().num_columns());
    }
}

fn texts(values: Vec<Option<&str>>) -> RecordBatch {
    let numbers = Int64Array::from_iter_values((0..).take(values.len()));
    let columns: Vec<(&str, ArrayRef)> = vec![("a;b", Arc::new(StringArray::from(values))), ("=n", Arc::new(numbers))];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn csv_settings_change_the_text() {
    let batch = texts(vec![Some("x;y"), None, Some(""), Some("NULL"), Some("-1"), Some("\tt"), Some("q\"")]);
    let semicolon = csv(&batch, &json!({"delimiter": "semicolon", "null_text": "NULL", "byte_order_mark": true}));
    assert_eq!(semicolon, "\u{feff}\"a;b\";=n\n\"x;y\";0\nNULL;1\n\"\";2\n\"NULL\";3\n-1;4\n\tt;5\n\"q\"\"\";6\n");
    let quoted = csv(&batch, &json!({"quoting": "all", "include_header": false}));
    assert_eq!(
        quoted,
        "\"x;y\",\"0\"\n,\"1\"\n\"\",\"2\"\n\"NULL\",\"3\"\n\"-1\",\"4\"\n\"\tt\",\"5\"\n\"q\"\"\",\"6\"\n"
    );
    let guarded = csv(&batch, &json!({"formula_guard": true, "delimiter": "tab"}));
    assert_eq!(guarded, "a;b\t'=n\nx;y\t0\n\t1\n\"\"\t2\nNULL\t3\n'-1\t4\n\"'\tt\"\t5\n\"q\"\"\"\t6\n");
    let ambiguous = csv(&batch, &json!({"null_text": "2", "delimiter": "pipe"}));
    assert_eq!(ambiguous, "a;b|=n\nx;y|0\n2|1\n\"\"|\"2\"\nNULL|3\n-1|4\n\tt|5\n\"q\"\"\"|6\n");
}

#[test]
fn copy_csv_is_what_postgresql_reads() {
    let copy = || EncodingSettings::new(OutputFormat::CopyCsv, &Object::new()).unwrap();
    let batch = texts(vec![Some("\\."), None, Some(""), Some("a,\"b\"\n")]);
    assert_eq!(encode(&batch, copy()), "\"\\.\",0\n,1\n\"\",2\n\"a,\"\"b\"\"\n\",3\n");
    let blob = encode(&all_types(), copy());
    assert!(blob.contains(",\\xff00,") && blob.contains(",\\x,") && blob.contains(",\\x616263,"), "{blob}");
    let tables = Tables::new();
    let table = tables.parquet("t", &[texts(vec![Some("a\0b")])], 10);
    let error = run(job(vec![(all_fields("t"), table)], copy()).unwrap(), 1).unwrap_err();
    assert_eq!(error.code, FailureCode::ValueNotEncodable);
    assert!(error.detail.contains("column `a;b`") && !error.detail.contains('\0'), "{}", error.detail);
}

#[test]
fn csv_is_that_of_arrow_where_both_mean_the_same() {
    // Not compared: the empty string, which arrow-csv does not distinguish from null; bytes, which it writes in
    // hexadecimal; and timestamps whose fraction is not zero, which it writes with all digits of their unit.
    let batch = all_types();
    let names = ["flag", "small", "id", "unsigned", "single", "double", "price", "wide", "emoji", "segment", "day"];
    let indices: Vec<usize> = names.iter().map(|name| batch.schema().index_of(name).unwrap()).collect();
    let batch = batch.project(&indices).unwrap();
    let mut expected = Vec::new();
    arrow::csv::WriterBuilder::new().with_header(true).build(&mut expected).write(&batch).unwrap();
    assert_eq!(csv(&batch, &json!({})), String::from_utf8(expected).unwrap());
}

#[test]
fn empty_tables_make_one_file() {
    let empty = all_types().slice(0, 0);
    assert_eq!(csv(&empty.project(&[0, 8]).unwrap(), &json!({})), "flag,name\n");
    assert_eq!(encode(&empty, settings(&json!({"file_format": "jsonl", "compression": "none"}))), "");
    let tables = Tables::new();
    for (compression, format) in [("zstd", "jsonl"), ("gzip", "jsonl"), ("zstd", "csv")] {
        let table = tables.parquet("t", std::slice::from_ref(&empty), 10);
        let encoding = settings(&json!({"file_format": format, "compression": compression}));
        let files = run(job(vec![(all_fields("t"), table)], encoding).unwrap(), 2).unwrap();
        assert!(files.len() == 1 && !files[0].bytes.is_empty() && files[0].summary.rows == 0);
    }
}

#[test]
fn numbers_that_json_cannot_represent_are_errors() {
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN]));
    let batch = RecordBatch::try_from_iter([("score", values)]).unwrap();
    assert_eq!(csv(&batch, &json!({})), "score\n1.0\nNaN\n");
    let tables = Tables::new();
    let table = tables.parquet("t", &[batch], 10);
    let encoding = settings(&json!({"file_format": "jsonl"}));
    let error = run(job(vec![(all_fields("t"), table)], encoding).unwrap(), 2).unwrap_err();
    assert_eq!(error.code, FailureCode::ValueNotEncodable);
    assert!(error.detail.contains("column `score`"), "{}", error.detail);
}

#[test]
fn one_field_can_be_exported_plain_and_hashed() {
    let tables = Tables::new();
    let table = tables.parquet("t", &[texts(vec![Some(" A@B.c "), None])], 10);
    let payload = PayloadTable {
        table: "t".to_owned(),
        fields: vec![
            field("=n", "number", Transform::None),
            field("a;b", "mail", Transform::None),
            field("a;b", "hash", Transform::Sha256Normalized),
        ],
        filters: Vec::new(),
    };
    let job = job(vec![(payload, table)], settings(&json!({"compression": "none", "line_ending": "lf"}))).unwrap();
    let manifest = job.manifest();
    let digest: String = Sha256::digest("a@b.c").iter().map(|byte| format!("{byte:02x}")).collect();
    let text = run(job, 1).unwrap()[0].text();
    assert_eq!(text, format!("number,mail,hash\n0, A@B.c ,{digest}\n1,,\n"));
    let transforms: Vec<&str> = manifest.fields.iter().map(|field| field.transform.as_str()).collect();
    assert_eq!(transforms, ["none", "none", "sha256_normalized"]);
}
