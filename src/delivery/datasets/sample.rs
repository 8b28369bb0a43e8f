//! The sample that the first start of the embedded default writes: customers and their orders.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::types::UTC;

/// Number of customers.
const CUSTOMERS: i64 = 5_000;
/// Number of orders.
const ORDERS: i64 = 12_000;
/// 2023-01-01, the first day of the sample, in days since 1970.
const FIRST_DAY: i32 = 19_358;
/// Days from the first to the last.
const DAYS: u64 = 1_400;
/// Microseconds of a day.
const DAY_MICROSECONDS: i64 = 86_400_000_000;
/// Digits of amounts, and how many of them are after the decimal point.
const AMOUNT: (u8, i8) = (12, 2);

const FIRST_NAMES: [&str; 24] = [
    "Ada", "Amina", "Anna", "Ben", "Chiara", "Daniel", "Elif", "Emma", "Farid", "Grace", "Hannah", "Ivan", "Jonas",
    "José", "Lena", "Liam", "Maria", "Mateo", "Noor", "Olga", "Paul", "Sofía", "Tomás", "Zoë",
];
const LAST_NAMES: [&str; 24] = [
    "Andersen",
    "Bauer",
    "Costa",
    "Dubois",
    "Evans",
    "Fischer",
    "García",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kaya",
    "Kowalski",
    "Larsen",
    "Meyer",
    "Müller",
    "Nguyen",
    "O'Brien",
    "Okafor",
    "Rossi",
    "Schmidt",
    "Silva",
    "Weber",
    "Yilmaz",
    "Žukauskas",
];
const COUNTRIES: [&str; 10] = ["DE", "FR", "GB", "IT", "ES", "NL", "PL", "SE", "TR", "US"];
const SEGMENTS: [&str; 5] = ["new", "regular", "loyal", "vip", "dormant"];
const STATUSES: [&str; 5] = ["placed", "paid", "shipped", "delivered", "returned"];
const CURRENCIES: [&str; 3] = ["EUR", "USD", "GBP"];

/// Writes a directory with `customers.parquet` and `orders.parquet`, whole or not at all. Writes nothing and returns `false`
/// if there is anything of that name. The content is always the same. It blocks.
pub fn write_sample(directory: &Path) -> io::Result<bool> {
    let parent = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if directory.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let staged = tempfile::Builder::new().prefix(".sample-").tempdir_in(parent)?;
    for (name, batch) in [("customers.parquet", customers()), ("orders.parquet", orders())] {
        write(&staged.path().join(name), &batch.map_err(io::Error::other)?)?;
    }
    File::open(staged.path())?.sync_all()?;
    // It fails if another process has written a directory meanwhile.
    fs::rename(staged.path(), directory)?;
    File::open(parent)?.sync_all()?;
    Ok(true)
}

fn write(path: &Path, batch: &RecordBatch) -> io::Result<()> {
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(File::create_new(path)?, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.into_inner()?.sync_all()
}

fn customers() -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut random = Random(1);
    let (mut emails, mut names, mut segments, mut countries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut values, mut consents, mut days, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for id in 1..=CUSTOMERS {
        let (first, last) = (random.one_of(&FIRST_NAMES), random.one_of(&LAST_NAMES));
        emails.push((!random.happens(2)).then(|| format!("{}.{}{id}@{}", ascii(first), ascii(last), random.domain())));
        names.push(format!("{first} {last}"));
        segments.push((!random.happens(4)).then(|| random.one_of(&SEGMENTS)));
        countries.push((!random.happens(1)).then(|| random.one_of(&COUNTRIES)));
        // Few customers spend much: the product of two random numbers is mostly small.
        let spent = random.below(2_000) * random.below(1_000);
        values.push((!random.happens(3)).then(|| i128::from(spent)));
        consents.push((!random.happens(5)).then(|| random.happens(70)));
        let signup = random.below(DAYS);
        days.push(FIRST_DAY + i32::try_from(signup).unwrap_or_default());
        times.push(random.instant(signup, DAYS));
    }
    let columns: [(&str, ArrayRef); 9] = [
        ("id", Arc::new(Int64Array::from_iter_values(1..=CUSTOMERS))),
        ("email", Arc::new(StringArray::from(emails))),
        ("name", Arc::new(StringArray::from(names))),
        ("segment", Arc::new(StringArray::from(segments))),
        ("country", Arc::new(StringArray::from(countries))),
        ("lifetime_value", Arc::new(amounts(values)?)),
        ("consent", Arc::new(BooleanArray::from(consents))),
        ("signup_date", Arc::new(Date32Array::from(days))),
        ("updated_at", Arc::new(TimestampMicrosecondArray::from(times).with_timezone(UTC))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
}

fn orders() -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut random = Random(2);
    let (mut customers, mut statuses, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut currencies, mut times) = (Vec::new(), Vec::new());
    for _ in 1..=ORDERS {
        customers.push(1 + i64::try_from(random.below(CUSTOMERS.unsigned_abs())).unwrap_or_default());
        statuses.push(random.one_of(&STATUSES));
        values.push((!random.happens(1)).then(|| i128::from(500 + random.below(400) * random.below(100))));
        currencies.push(random.one_of(&CURRENCIES));
        times.push(random.instant(0, DAYS));
    }
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(1..=ORDERS))),
        ("customer_id", Arc::new(Int64Array::from(customers))),
        ("status", Arc::new(StringArray::from(statuses))),
        ("amount", Arc::new(amounts(values)?)),
        ("currency", Arc::new(StringArray::from(currencies))),
        ("ordered_at", Arc::new(TimestampMicrosecondArray::from(times).with_timezone(UTC))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
}

fn amounts(values: Vec<Option<i128>>) -> Result<Decimal128Array, arrow::error::ArrowError> {
    Decimal128Array::from(values).with_precision_and_scale(AMOUNT.0, AMOUNT.1)
}

/// The local part of an email address: lower-case ASCII.
fn ascii(name: &str) -> String {
    let plain = |letter: char| match letter {
        'é' | 'ë' => Some('e'),
        'í' => Some('i'),
        'á' => Some('a'),
        'ü' => Some('u'),
        'Ž' => Some('z'),
        letter => letter.is_ascii_alphabetic().then(|| letter.to_ascii_lowercase()),
    };
    name.chars().filter_map(plain).collect()
}

/// A generator whose numbers are the same in every version: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True in so many percent of calls.
    fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn one_of(&mut self, texts: &[&'static str]) -> &'static str {
        texts[usize::try_from(self.below(texts.len() as u64)).unwrap_or_default()]
    }

    fn domain(&mut self) -> &'static str {
        self.one_of(&["example.com", "example.net", "example.org", "mail.example"])
    }

    /// An instant between two days of the sample, in microseconds since 1970.
    fn instant(&mut self, from_day: u64, to_day: u64) -> i64 {
        let day = from_day + self.below(to_day - from_day);
        let seconds = i64::try_from(self.below(86_400)).unwrap_or_default();
        (i64::from(FIRST_DAY) + i64::try_from(day).unwrap_or_default()) * DAY_MICROSECONDS + seconds * 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn the_sample_is_always_the_same_and_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        assert!(write_sample(&first).unwrap() && write_sample(&second).unwrap());
        for name in ["customers.parquet", "orders.parquet"] {
            assert_eq!(fs::read(first.join(name)).unwrap(), fs::read(second.join(name)).unwrap());
        }
        fs::write(second.join("orders.parquet"), "kept").unwrap();
        assert!(!write_sample(&second).unwrap());
        assert_eq!(fs::read(second.join("orders.parquet")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "no temporary directory is left");

        let file = File::open(first.join("customers.parquet")).unwrap();
        let batches: Vec<_> =
            ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5_000);
        let email = batches[0].column_by_name("email").unwrap();
        assert!(email.null_count() > 0, "some values are null");
        let email = email.as_any().downcast_ref::<StringArray>().unwrap();
        let is_address = |text: &str| text.is_ascii() && text.contains('@') && text.contains("example");
        assert!(email.iter().flatten().all(is_address));
    }
}
