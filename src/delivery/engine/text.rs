//! Formats values as text: dates, times and timestamps (RFC 3339), decimals, floating-point numbers.
//!
//! Everything is appended to a buffer, without allocations.

use std::ops::RangeInclusive;

use arrow::datatypes::{TimeUnit, i256};

/// Why a value has no text; completes "field …: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unencodable(pub &'static str);

const SECONDS_PER_DAY: i64 = 86_400;

/// First and last day since 1970-01-01 whose year has four digits: 0000-01-01 and 9999-12-31.
const DAYS: RangeInclusive<i64> = -719_528..=2_932_896;

/// The two digits of each number from 0 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 1;
    while number < 100 {
        let [tens, ones] = pairs[number - 1];
        pairs[number] = if ones == b'9' { [tens + 1, b'0'] } else { [tens, ones + 1] };
        number += 1;
    }
    pairs
};

/// Month and day, such as `-03-01`, of each day of a year that begins in March, and what is to be added to that year.
const MONTHS_AND_DAYS: [([u8; 6], u32); 366] = {
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut table = [([b'-'; 6], 0); 366];
    let (mut month, mut day, mut index) = (3, 1, 0);
    while index < 366 {
        let (digits, added) = (&mut table[index].0, if month < 3 { 1 } else { 0 });
        [digits[1], digits[2]] = PAIRS[month];
        [digits[4], digits[5]] = PAIRS[day];
        table[index].1 = added;
        // The last day is 29 February.
        (month, day) = if day < lengths[month - 1] || index == 364 { (month, day + 1) } else { (month % 12 + 1, 1) };
        index += 1;
    }
    table
};

/// The digits of a number below 100.
fn pair(number: u32) -> [u8; 2] {
    PAIRS[number as usize]
}

/// A day since 1970-01-01, as `2026-11-24`. Years 0000 to 9999 of the proleptic Gregorian calendar.
///
/// The year and the day in it are those of figure 12 of C. Neri and L. Schneider, "Euclidean affine functions and their
/// application to calendar algorithms", <https://doi.org/10.1002/spe.3172>.
pub fn date(out: &mut Vec<u8>, days: i64) -> Result<(), Unencodable> {
    /// Days from 1 March of the year -400, a multiple of 400 that makes all numbers positive, to 1970-01-01.
    const SHIFT: i64 = 719_468 + 146_097;
    let outside = Unencodable("a date is outside of the years 0000 to 9999");
    if !DAYS.contains(&days) {
        return Err(outside);
    }
    let in_centuries = 4 * u32::try_from(days + SHIFT).map_err(|_| outside)? + 3;
    let in_years = 2_939_745 * u64::from((in_centuries % 146_097) | 3);
    let year_of_century = u32::try_from(in_years >> 32).map_err(|_| outside)?;
    let day_of_year = usize::try_from((in_years & 0xffff_ffff) / (4 * 2_939_745)).map_err(|_| outside)?;
    let (month_and_day, added) = MONTHS_AND_DAYS[day_of_year];
    let year = in_centuries / 146_097 * 100 + year_of_century + added - 400;
    // Arrays of fixed sizes are copied without a call.
    out.extend_from_slice(&pair(year / 100));
    out.extend_from_slice(&pair(year % 100));
    out.extend_from_slice(&month_and_day);
    Ok(())
}

/// Number of units in a second, and of nanoseconds in a unit.
pub fn units(unit: TimeUnit) -> (i64, i64) {
    match unit {
        TimeUnit::Second => (1, 1_000_000_000),
        TimeUnit::Millisecond => (1_000, 1_000_000),
        TimeUnit::Microsecond => (1_000_000, 1_000),
        TimeUnit::Nanosecond => (1_000_000_000, 1),
    }
}

/// Whole seconds, rounded down, and the nanoseconds that remain.
fn seconds_and_nanos(value: i64, unit: TimeUnit) -> (i64, u32) {
    /// The compiler turns the division by a constant into a multiplication.
    fn divide<const PER_SECOND: i64>(value: i64) -> (i64, u32) {
        let nanos = value.rem_euclid(PER_SECOND) * (1_000_000_000 / PER_SECOND);
        (value.div_euclid(PER_SECOND), u32::try_from(nanos).unwrap_or(0))
    }
    match unit {
        TimeUnit::Second => (value, 0),
        TimeUnit::Millisecond => divide::<1_000>(value),
        TimeUnit::Microsecond => divide::<1_000_000>(value),
        TimeUnit::Nanosecond => divide::<1_000_000_000>(value),
    }
}

/// A time of day in units since midnight, as `06:00:00`, with a fraction as [`timestamp`] has.
pub fn time(out: &mut Vec<u8>, value: i64, unit: TimeUnit) -> Result<(), Unencodable> {
    let (seconds, nanos) = seconds_and_nanos(value, unit);
    if !(0..SECONDS_PER_DAY).contains(&seconds) {
        return Err(Unencodable("a time is outside of a day"));
    }
    clock(out, seconds, nanos);
    Ok(())
}

/// An instant in units since 1970-01-01T00:00:00Z, as `2026-11-24T06:00:00Z`; the fraction has the fewest of 0, 3, 6 or 9
/// digits that represent it exactly. Years 0000 to 9999.
pub fn timestamp(out: &mut Vec<u8>, value: i64, unit: TimeUnit) -> Result<(), Unencodable> {
    let (seconds, nanos) = seconds_and_nanos(value, unit);
    date(out, seconds.div_euclid(SECONDS_PER_DAY))?;
    out.push(b'T');
    clock(out, seconds.rem_euclid(SECONDS_PER_DAY), nanos);
    out.push(b'Z');
    Ok(())
}

fn clock(out: &mut Vec<u8>, second_of_day: i64, nanos: u32) {
    let second = u32::try_from(second_of_day).unwrap_or(0);
    let [hours, minutes, seconds] = [second / 3_600, second / 60 % 60, second % 60].map(pair);
    out.extend_from_slice(&[hours[0], hours[1], b':', minutes[0], minutes[1], b':', seconds[0], seconds[1]]);
    if nanos == 0 {
        return;
    }
    let (millis, rest) = (nanos / 1_000_000, nanos % 1_000_000);
    let [high, low] = [millis / 10, millis % 10].map(pair);
    out.extend_from_slice(&[b'.', high[0], high[1], low[1]]);
    if rest == 0 {
        return;
    }
    let [high, middle, low] = [rest / 10_000, rest / 100 % 100, rest % 100].map(pair);
    out.extend_from_slice(&[high[0], high[1], middle[0]]);
    if !rest.is_multiple_of(1_000) {
        out.extend_from_slice(&[middle[1], low[0], low[1]]);
    }
}

/// A decimal number of an unscaled value, with exactly `scale` digits after the point; `-0.05`, `120` for a scale of -1.
pub fn decimal(out: &mut Vec<u8>, unscaled: i128, scale: i8) {
    let mut digits = itoa::Buffer::new();
    // Most fit into 64 bits, which takes half of the time.
    let digits =
        if let Ok(unscaled) = i64::try_from(unscaled) { digits.format(unscaled) } else { digits.format(unscaled) };
    point(out, digits, scale);
}

/// Like [`decimal`], for values of up to 76 digits.
pub fn wide_decimal(out: &mut Vec<u8>, unscaled: i256, scale: i8) {
    point(out, &unscaled.to_string(), scale);
}

fn point(out: &mut Vec<u8>, digits: &str, scale: i8) {
    let digits = if let Some(digits) = digits.strip_prefix('-') {
        out.push(b'-');
        digits.as_bytes()
    } else {
        digits.as_bytes()
    };
    let Ok(scale) = usize::try_from(scale) else {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
        }
        return;
    };
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

/// The shortest text that is read as the same number; `NaN`, `Infinity` and `-Infinity`.
pub fn float(out: &mut Vec<u8>, value: impl zmij::Float + Into<f64> + Copy) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        let mut text = zmij::Buffer::new();
        let text = text.format_finite(value);
        // `1e+16` is written as `1e16`. Numbers below 10^7 have no positive exponent.
        let exponent = if wide.abs() < 1e7 { None } else { text.split_once('+') };
        if let Some((digits, exponent)) = exponent {
            out.extend_from_slice(digits.as_bytes());
            out.extend_from_slice(exponent.as_bytes());
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    } else {
        let text = if wide.is_nan() {
            "NaN"
        } else if wide > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends bytes in hexadecimal.
pub fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    // Arithmetic instead of a table, and one loop without a check of the capacity: the compiler uses vector instructions.
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let start = out.len();
    out.resize(start + bytes.len() * 2, 0);
    for (pair, byte) in out[start..].chunks_exact_mut(2).zip(bytes) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 15);
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDate, SecondsFormat};
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_and_timestamps_are_those_of_chrono() {
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        let (first, last) = (-719_528, 2_932_896);
        // Every day of the 400 years after which the calendar repeats, and of the first and the last year.
        let every = (0..146_097).chain(first..first + 366).chain(last - 366..=last);
        for days in every.chain((0..5_000).map(|_| random.random_range(first..=last))) {
            let expected = NaiveDate::from_epoch_days(i32::try_from(days).unwrap()).unwrap().to_string();
            assert_eq!(text(|out| date(out, days).unwrap()), expected);
        }
        for _ in 0..5_000 {
            let seconds = random.random_range(first * SECONDS_PER_DAY..=last * SECONDS_PER_DAY);
            let millis = seconds * 1_000 + random.random_range(0..1_000);
            let expected =
                DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339_opts(SecondsFormat::AutoSi, true);
            assert_eq!(text(|out| timestamp(out, millis, TimeUnit::Millisecond).unwrap()), expected);
            let nanos = random.random_range(i64::MIN..i64::MAX);
            let expected = DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(SecondsFormat::AutoSi, true);
            assert_eq!(text(|out| timestamp(out, nanos, TimeUnit::Nanosecond).unwrap()), expected);
        }
        for days in [first - 1, last + 1, i64::from(i32::MIN), i64::from(i32::MAX)] {
            assert!(date(&mut Vec::new(), days).is_err());
        }
        for value in [i64::MIN, i64::MAX] {
            assert!(timestamp(&mut Vec::new(), value, TimeUnit::Second).is_err());
        }
    }

    #[test]
    fn fractions_have_no_trailing_groups_of_zeros() {
        for (value, unit, expected) in [
            (0, TimeUnit::Nanosecond, "1970-01-01T00:00:00Z"),
            (120_000, TimeUnit::Microsecond, "1970-01-01T00:00:00.120Z"),
            (120_001, TimeUnit::Microsecond, "1970-01-01T00:00:00.120001Z"),
            (1, TimeUnit::Nanosecond, "1970-01-01T00:00:00.000000001Z"),
            (-1, TimeUnit::Millisecond, "1969-12-31T23:59:59.999Z"),
            (1_795_500_000, TimeUnit::Second, "2026-11-24T06:00:00Z"),
        ] {
            assert_eq!(text(|out| timestamp(out, value, unit).unwrap()), expected);
        }
        assert_eq!(text(|out| time(out, 86_399_999, TimeUnit::Millisecond).unwrap()), "23:59:59.999");
        assert_eq!(text(|out| time(out, 0, TimeUnit::Nanosecond).unwrap()), "00:00:00");
        assert!(time(&mut Vec::new(), 86_400, TimeUnit::Second).is_err());
        assert!(time(&mut Vec::new(), -1, TimeUnit::Microsecond).is_err());
    }

    #[test]
    fn decimals_are_exact() {
        for (unscaled, scale, expected) in [
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (12_345, 2, "123.45"),
            (12_345, 0, "12345"),
            (12, -1, "120"),
            (0, -3, "0"),
            (i128::MAX, 38, "1.70141183460469231731687303715884105727"),
            (-999, 3, "-0.999"),
        ] {
            assert_eq!(text(|out| decimal(out, unscaled, scale)), expected);
            assert_eq!(text(|out| wide_decimal(out, i256::from_i128(unscaled), scale)), expected);
        }
    }

    #[test]
    fn floating_point_numbers_are_read_back_unchanged() {
        let mut random = rand::rngs::StdRng::seed_from_u64(9);
        for _ in 0..10_000 {
            let value = f64::from_bits(random.random());
            let parsed: f64 = text(|out| float(out, value)).parse().unwrap();
            assert!(parsed.to_bits() == value.to_bits() || parsed.is_nan() && value.is_nan());
        }
        assert_eq!(text(|out| float(out, 0.1_f32)), "0.1");
        assert_eq!(text(|out| float(out, -1e30)), "-1e30");
        assert_eq!(text(|out| float(out, 1e-7)), "1e-7");
        assert_eq!(text(|out| float(out, f64::NEG_INFINITY)), "-Infinity");
        assert_eq!(text(|out| hexadecimal(out, &[0, 171, 255])), "00abff");
    }
}
