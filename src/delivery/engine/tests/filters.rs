//! Filters, compared with a slow evaluation row by row on random data.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::support::{Tables, all_fields, field, job, run, run_counted, settings, table};
use crate::delivery::datasets::{PinnedTable, TableContent};
use crate::model::{Comparison, PayloadFilter, PayloadTable, Transform};

const ROWS: usize = 3_000;
const FIELDS: [&str; 7] = ["number", "double", "price", "text", "flag", "day", "time"];
const COMPARISONS: [Comparison; 10] = [
    Comparison::Equals,
    Comparison::NotEquals,
    Comparison::In,
    Comparison::NotIn,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
    Comparison::IsNull,
    Comparison::IsNotNull,
];

/// A value, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Cell {
    Whole(i64),
    Real(f64),
    Text(String),
}

/// A random value of a field: what is stored, and the operand that means it. Values repeat, and grow with the row, so
/// that row groups have different ranges.
fn value(random: &mut StdRng, field: &str, row: usize) -> (Cell, Value) {
    let number = i64::try_from(row / 100).unwrap() + random.random_range(-3..3);
    match field {
        "number" => (Cell::Whole(number), json!(number)),
        "double" if random.random_range(0..10) == 0 => (Cell::Real(-0.0), json!(0)),
        "double" => {
            let value = f64::from(i32::try_from(number).unwrap()) / 4.0;
            (Cell::Real(value), json!(value.to_string()))
        }
        "price" => {
            let sign = if number < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", number.abs() / 100, number.abs() % 100);
            (Cell::Whole(number), json!(text))
        }
        "text" => (Cell::Text(format!("ä{number:03}")), json!(format!("ä{number:03}"))),
        "flag" => (Cell::Whole(number.rem_euclid(2)), json!(number.rem_euclid(2) == 1)),
        "day" => {
            let day = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::Duration::days(number);
            (Cell::Whole(number), json!(day.to_string()))
        }
        _ => {
            let time = chrono::DateTime::from_timestamp_micros(number * 500_000).unwrap();
            (Cell::Whole(number * 500_000), json!(time.to_rfc3339()))
        }
    }
}

fn columns(random: &mut StdRng) -> Vec<Vec<Option<Cell>>> {
    let column = |field: &&str| {
        let cell = |row| {
            let is_nan = *field == "double" && random.random_range(0..20) == 0;
            let cell = if is_nan { Cell::Real(f64::NAN) } else { value(random, field, row).0 };
            // Some row groups have no null, and one has nothing else.
            let is_null = row / 500 == 3 || row / 500 > 1 && random.random_range(0..5) == 0;
            (!is_null).then_some(cell)
        };
        (0..ROWS).map(cell).collect()
    };
    FIELDS.iter().map(column).collect()
}

fn batch(columns: &[Vec<Option<Cell>>]) -> RecordBatch {
    let whole = |index: usize| {
        columns[index].iter().map(|cell| match cell {
            Some(Cell::Whole(value)) => Some(*value),
            _ => None,
        })
    };
    let reals = columns[1].iter().map(|cell| match cell {
        Some(Cell::Real(value)) => Some(*value),
        _ => None,
    });
    let texts = columns[3].iter().map(|cell| match cell {
        Some(Cell::Text(value)) => Some(value.as_str()),
        _ => None,
    });
    let prices = Decimal128Array::from_iter(whole(2).map(|value| value.map(i128::from)));
    let days = whole(5).map(|value| value.map(|value| i32::try_from(value).unwrap()));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter(whole(0))),
        Arc::new(Float64Array::from_iter(reals)),
        Arc::new(prices.with_precision_and_scale(10, 2).unwrap()),
        Arc::new(StringArray::from_iter(texts)),
        Arc::new(BooleanArray::from_iter(whole(4).map(|value| value.map(|value| value == 1)))),
        Arc::new(Date32Array::from_iter(days)),
        Arc::new(TimestampMicrosecondArray::from_iter(whole(6)).with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values(0..i64::try_from(ROWS).unwrap())),
    ];
    RecordBatch::try_from_iter(FIELDS.iter().copied().chain(["row"]).zip(arrays)).unwrap()
}

/// A random filter of a field, and its operands as cells.
fn filter(random: &mut StdRng, field: &str) -> (PayloadFilter, Vec<Cell>) {
    let comparison = loop {
        let comparison = COMPARISONS[random.random_range(0..COMPARISONS.len())];
        let is_ordering = matches!(
            comparison,
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual
        );
        if !(field == "flag" && is_ordering) {
            break comparison;
        }
    };
    let count = match comparison {
        Comparison::IsNull | Comparison::IsNotNull => 0,
        Comparison::In | Comparison::NotIn => random.random_range(1..6),
        Comparison::Equals
        | Comparison::NotEquals
        | Comparison::Less
        | Comparison::LessOrEqual
        | Comparison::Greater
        | Comparison::GreaterOrEqual => 1,
    };
    let row = random.random_range(0..ROWS);
    let (cells, values) = (0..count).map(|_| value(random, field, row)).unzip();
    (PayloadFilter { field: field.to_owned(), comparison, values }, cells)
}

fn matches_slowly(comparison: Comparison, cell: Option<&Cell>, operands: &[Cell]) -> bool {
    let Some(cell) = cell else { return comparison == Comparison::IsNull };
    let first = operands.first().and_then(|operand| cell.partial_cmp(operand));
    match comparison {
        Comparison::Equals => first == Some(Ordering::Equal),
        Comparison::NotEquals => first != Some(Ordering::Equal),
        Comparison::In => operands.contains(cell),
        Comparison::NotIn => !operands.contains(cell),
        Comparison::Less => first == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(first, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => first == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(first, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::IsNull => false,
        Comparison::IsNotNull => true,
    }
}

fn selected(filters: Vec<PayloadFilter>, table: PinnedTable) -> Vec<usize> {
    let payload = PayloadTable { fields: vec![field("row", "", Transform::None)], filters, ..all_fields("t") };
    let encoding = json!({"compression": "none", "include_header": false});
    let files = run(job(vec![(payload, table)], settings(&encoding)).unwrap(), 2).unwrap();
    files[0].text().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn filters_select_the_rows_that_a_slow_evaluation_selects() {
    let mut random = StdRng::seed_from_u64(11);
    let columns = columns(&mut random);
    let batch = batch(&columns);
    let tables = Tables::new();
    let csv = {
        let source = tables.parquet("t", std::slice::from_ref(&batch), 500);
        let encoding = json!({"compression": "none", "delimiter": "comma"});
        run(job(vec![(all_fields("t"), source)], settings(&encoding)).unwrap(), 1).unwrap().remove(0).bytes
    };
    let (mut some, mut none) = (0, 0);
    for _ in 0..300 {
        let chosen: Vec<usize> = (0..random.random_range(1..4)).map(|_| random.random_range(0..FIELDS.len())).collect();
        let tests: Vec<_> = chosen.iter().map(|field| filter(&mut random, FIELDS[*field])).collect();
        let expected: Vec<usize> = (0..ROWS)
            .filter(|row| {
                chosen.iter().zip(&tests).all(|(field, (filter, operands))| {
                    matches_slowly(filter.comparison, columns[*field][*row].as_ref(), operands)
                })
            })
            .collect();
        let filters: Vec<PayloadFilter> = tests.into_iter().map(|(filter, _)| filter).collect();
        let parquet = tables.parquet("t", std::slice::from_ref(&batch), 500);
        assert_eq!(selected(filters.clone(), parquet), expected, "Parquet: {filters:?}");
        let text = table("t", &batch.schema(), TableContent::Csv(vec![tables.file("t.csv", &csv)]));
        assert_eq!(selected(filters.clone(), text), expected, "CSV: {filters:?}");
        if expected.is_empty() { none += 1 } else { some += 1 }
    }
    assert!(some > 100 && none > 10, "{some} filters select rows, {none} select none");
}

#[test]
fn row_groups_without_matching_rows_are_not_read() {
    let ids = Int64Array::from_iter_values(0..10_000);
    let batch = RecordBatch::try_from_iter([("id", Arc::new(ids) as ArrayRef)]).unwrap();
    let tables = Tables::new();
    for (comparison, values, read) in [
        (Comparison::Equals, json!([4_321]), 1_000),
        (Comparison::In, json!([1_000, 3_000]), 3_000),
        (Comparison::Less, json!([1_000]), 1_000),
        (Comparison::LessOrEqual, json!([1_000]), 2_000),
        (Comparison::GreaterOrEqual, json!([9_999]), 1_000),
        (Comparison::Greater, json!([9_999]), 0),
        (Comparison::IsNull, json!([]), 0),
        (Comparison::IsNotNull, json!([]), 10_000),
        (Comparison::NotEquals, json!([5]), 10_000),
    ] {
        let values = values.as_array().unwrap().clone();
        let filters = vec![PayloadFilter { field: "id".to_owned(), comparison, values }];
        let table = tables.parquet("t", std::slice::from_ref(&batch), 1_000);
        let job = job(vec![(PayloadTable { filters, ..all_fields("t") }, table)], settings(&json!({}))).unwrap();
        let (_, progress) = run_counted(job, 1).unwrap();
        assert_eq!(progress.rows_read.load(Relaxed), read, "{comparison:?}");
    }
}
