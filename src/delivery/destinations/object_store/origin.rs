//! The server of a store.

use reqwest::Url;

use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Host and port of an https URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Name, or address; an IPv6 address is in brackets.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
}

impl Origin {
    /// The server of a URL.
    pub(super) fn of(url: &str) -> Result<Self, DeliveryError> {
        let invalid = || DeliveryError::new(FailureCode::DestinationRefused, "the endpoint is not an https URL");
        let parsed = Url::parse(url).map_err(|_| invalid())?;
        let host = parsed.host_str().filter(|_| parsed.scheme() == "https").ok_or_else(invalid)?;
        Ok(Self { host: host.to_owned(), port: parsed.port_or_known_default().unwrap_or(443) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_urls_have_an_origin() {
        let origin = |host: &str, port| Origin { host: host.into(), port };
        assert_eq!(Origin::of("https://a.example").expect("https"), origin("a.example", 443));
        assert_eq!(Origin::of("https://[::1]:9000/x").expect("https"), origin("[::1]", 9000));
        assert!(Origin::of("http://a.example").is_err());
        assert!(Origin::of("a.example").is_err());
    }
}
