//! The times of a token: `exp`, `nbf` and `iat` (RFC 7519, section 4.1).

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::error::{AuthnError, Fault};

/// The permitted difference between the clocks of issuer and server, in seconds.
pub const LEEWAY_SECONDS: i64 = 30;

/// The longest lifetime of a token in seconds: from `iat`, or from now without `iat`, to `exp`.
pub const MAX_LIFETIME_SECONDS: i64 = 24 * 60 * 60;

/// The latest accepted time, in seconds since 1970: the end of the year 9999.
const MAX_TIME_SECONDS: f64 = 253_402_300_799.0;

/// Whether a token with this expiry is still valid, leeway included.
pub(super) fn is_live(expire_time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now.timestamp() < expire_time.timestamp() + LEEWAY_SECONDS
}

/// Checks the times of a token, and returns its expiry.
pub(super) fn check(claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Fault> {
    let seconds = now.timestamp();
    let expiry =
        time(claims, "exp")?.ok_or_else(|| Fault::new(AuthnError::Expired, "the token has no `exp`, the expiry"))?;
    let expire_time = DateTime::from_timestamp(expiry, 0).ok_or(AuthnError::Malformed)?;
    if !is_live(expire_time, now) {
        return Err(Fault::new(AuthnError::Expired, format!("the token expired {} s ago", seconds - expiry)));
    }
    let issued = time(claims, "iat")?;
    // With an issue time in the future, any lifetime would look short.
    for (name, start) in [("nbf", time(claims, "nbf")?), ("iat", issued)] {
        if let Some(start) = start.filter(|start| *start > seconds + LEEWAY_SECONDS) {
            let detail = format!("`{name}` is {} s in the future: compare the clocks", start - seconds);
            return Err(Fault::new(AuthnError::NotYetValid, detail));
        }
    }
    let lifetime = expiry - issued.unwrap_or(seconds);
    if lifetime > MAX_LIFETIME_SECONDS {
        let detail = format!("the token is valid for {lifetime} s, more than {MAX_LIFETIME_SECONDS} s");
        return Err(Fault::new(AuthnError::Lifetime, detail));
    }
    Ok(expire_time)
}

/// Reads a `NumericDate` in seconds. A fraction is dropped.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Fault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let malformed = || Fault::new(AuthnError::Malformed, format!("`{name}` is not a time in seconds since 1970"));
    let seconds = value.as_f64().ok_or_else(malformed)?;
    if !(0.0..=MAX_TIME_SECONDS).contains(&seconds) {
        return Err(malformed());
    }
    // Exact: the value is in range, and `floor` leaves an integer.
    format!("{:.0}", seconds.floor()).parse().map(Some).map_err(|_| malformed())
}
