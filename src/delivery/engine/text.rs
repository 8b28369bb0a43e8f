//! Formats values as text: dates, times and timestamps (RFC 3339), decimals, floating-point numbers.
//!
//! Everything is appended to a buffer, without allocations.

use arrow::datatypes::{TimeUnit, i256};

/// Why a value has no text; completes "field …: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unencodable(pub &'static str);

/// `00` to `99`.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

const SECONDS_PER_DAY: i64 = 86_400;

/// Writes a number from 0 to 99 with two digits.
fn pair(target: &mut [u8], number: i64) {
    let start = usize::try_from(number).unwrap_or(0) * 2;
    target.copy_from_slice(&PAIRS[start..start + 2]);
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar: "days to civil" of Howard Hinnant,
/// <https://howardhinnant.github.io/date_algorithms.html>.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn date_digits(days: i64) -> Result<[u8; 10], Unencodable> {
    let (year, month, day) = civil(days);
    if !(0..=9_999).contains(&year) {
        return Err(Unencodable("a date is outside of the years 0000 to 9999"));
    }
    let mut text = *b"0000-00-00";
    pair(&mut text[0..2], year / 100);
    pair(&mut text[2..4], year % 100);
    pair(&mut text[5..7], month);
    pair(&mut text[8..10], day);
    Ok(text)
}

/// A day since 1970-01-01, as `2026-11-24`. Years 0000 to 9999.
pub fn date(out: &mut Vec<u8>, days: i64) -> Result<(), Unencodable> {
    out.extend_from_slice(&date_digits(days)?);
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

/// A time of day in units since midnight, as `06:00:00`, with a fraction as [`timestamp`] has.
pub fn time(out: &mut Vec<u8>, value: i64, unit: TimeUnit) -> Result<(), Unencodable> {
    let (per_second, nanos) = units(unit);
    if !(0..SECONDS_PER_DAY * per_second).contains(&value) {
        return Err(Unencodable("a time is outside of a day"));
    }
    out.extend_from_slice(&clock_digits(value / per_second));
    fraction(out, value % per_second * nanos);
    Ok(())
}

/// An instant in units since 1970-01-01T00:00:00Z, as `2026-11-24T06:00:00Z`; the fraction has the fewest of 0, 3, 6 or 9
/// digits that represent it exactly. Years 0000 to 9999.
pub fn timestamp(out: &mut Vec<u8>, value: i64, unit: TimeUnit) -> Result<(), Unencodable> {
    let (per_second, nanos) = units(unit);
    let seconds = value.div_euclid(per_second);
    let date = date_digits(seconds.div_euclid(SECONDS_PER_DAY))?;
    let mut text = *b"0000-00-00T00:00:00";
    text[..10].copy_from_slice(&date);
    text[11..].copy_from_slice(&clock_digits(seconds.rem_euclid(SECONDS_PER_DAY)));
    out.extend_from_slice(&text);
    fraction(out, value.rem_euclid(per_second) * nanos);
    out.push(b'Z');
    Ok(())
}

fn clock_digits(second_of_day: i64) -> [u8; 8] {
    let mut text = *b"00:00:00";
    pair(&mut text[0..2], second_of_day / 3_600);
    pair(&mut text[3..5], second_of_day / 60 % 60);
    pair(&mut text[6..8], second_of_day % 60);
    text
}

fn fraction(out: &mut Vec<u8>, nanos: i64) {
    if nanos == 0 {
        return;
    }
    let mut text = *b".000000000";
    text[1] += u8::try_from(nanos / 100_000_000).unwrap_or(0);
    pair(&mut text[2..4], nanos / 1_000_000 % 100);
    pair(&mut text[4..6], nanos / 10_000 % 100);
    pair(&mut text[6..8], nanos / 100 % 100);
    pair(&mut text[8..10], nanos % 100);
    let digits = if nanos % 1_000_000 == 0 {
        3
    } else if nanos % 1_000 == 0 {
        6
    } else {
        9
    };
    out.extend_from_slice(&text[..=digits]);
}

/// A decimal number of an unscaled value, with exactly `scale` digits after the point; `-0.05`, `120` for a scale of -1.
pub fn decimal(out: &mut Vec<u8>, unscaled: i128, scale: i8) {
    point(out, itoa::Buffer::new().format(unscaled), scale);
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
pub fn float(out: &mut Vec<u8>, value: impl ryu::Float + Into<f64> + Copy) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
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
        for days in [first, last, -1, 0, 59, 60, 11_016]
            .into_iter()
            .chain((0..5_000).map(|_| random.random_range(first..=last)))
        {
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
        assert_eq!(text(|out| float(out, f64::NEG_INFINITY)), "-Infinity");
        assert_eq!(text(|out| hexadecimal(out, &[0, 171, 255])), "00abff");
    }
}
