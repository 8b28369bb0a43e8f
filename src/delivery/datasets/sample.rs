//! The sample that the first start of the embedded default writes: customers and their orders.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tempfile::NamedTempFile;

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

/// Writes `customers.parquet` and `orders.parquet` into a directory, which is created. A file that exists is left as it
/// is. The content is always the same. It blocks.
pub fn write_sample(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
    let tables = [("customers.parquet", customers()), ("orders.parquet", orders())];
    for (name, batch) in tables {
        write_new(directory, name, &batch.map_err(io::Error::other)?)?;
    }
    File::open(directory)?.sync_all()
}

/// The file appears whole or not at all, and replaces none.
fn write_new(directory: &Path, name: &str, batch: &RecordBatch) -> io::Result<()> {
    let path = directory.join(name);
    if fs::exists(&path)? {
        return Ok(());
    }
    let mut file = NamedTempFile::new_in(directory)?;
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(file.as_file_mut(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close()?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(failed) if failed.error.kind() != io::ErrorKind::AlreadyExists => Err(failed.error),
        _ => Ok(()),
    }
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
        ("updated_at", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
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
        ("ordered_at", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
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
    fn the_sample_is_always_the_same_and_replaces_no_file() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = second.path().join("datasets/acme");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("orders.parquet"), "kept").unwrap();
        write_sample(first.path()).unwrap();
        write_sample(&folder).unwrap();
        let customers = |folder: &Path| fs::read(folder.join("customers.parquet")).unwrap();
        assert_eq!(customers(first.path()), customers(&folder));
        assert_eq!(fs::read(folder.join("orders.parquet")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "no temporary file is left");

        let file = File::open(first.path().join("customers.parquet")).unwrap();
        let batches: Vec<_> =
            ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5_000);
        let email = batches[0].column_by_name("email").unwrap();
        assert!(email.null_count() > 0, "some values are null");
        let email = email.as_any().downcast_ref::<StringArray>().unwrap();
        let is_address = |text: &str| text.is_ascii() && text.contains("@") && text.contains("example");
        assert!(email.iter().flatten().all(is_address));
    }
}
