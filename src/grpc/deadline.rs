//! Deadlines: the timeout of the caller, and the cap on unary calls.

use std::time::{Duration, Instant};

use http::HeaderMap;

/// The longest timeout of a unary call.
pub const MAX_UNARY_TIMEOUT: Duration = Duration::from_secs(30);
/// The timeout of a stream whose caller set none.
const NO_TIMEOUT: Duration = Duration::from_hours(365 * 24);

/// The deadline of a call, from its `grpc-timeout` and, for unary calls, the cap.
pub fn of(started: Instant, headers: &HeaderMap, streams: bool) -> Instant {
    let given = headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
    let cap = if streams { NO_TIMEOUT } else { MAX_UNARY_TIMEOUT };
    started + given.map_or(cap, |given| given.min(cap))
}

/// Parses at most eight digits and a unit, as gRPC over HTTP/2 defines it.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_parsed_as_grpc_defines_them() {
        assert_eq!(parse("2H"), Some(Duration::from_hours(2)));
        assert_eq!(parse("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "S", "1", "-1S", "1.5S", "123456789S", "1s", "1Sx"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
