//! `OpenID` Connect Discovery 1.0: the URL of the key set of an issuer, from a document that the issuer publishes.

use reqwest::Url;
use serde::Deserialize;

use super::key_set_error::KeySetError;
use crate::model::excerpt;

/// Below the URL of an issuer (section 4).
const PATH: &str = ".well-known/openid-configuration";
/// Maximum number of characters of an issuer in an error.
const MAX_SHOWN_CHARS: usize = 200;

/// The members of a discovery document that matter.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// The URL of the document of an issuer.
pub(super) fn url(issuer: &str) -> String {
    format!("{}/{PATH}", issuer.trim_end_matches('/'))
}

/// Reads the URL of the key set from a document. Its issuer must be equal to the configured one (section 4.3), and the key
/// set of an issuer with https has https too.
pub(super) fn key_set_url(issuer: &str, document: &[u8]) -> Result<Url, KeySetError> {
    let document: Document = serde_json::from_slice(document).map_err(|_| KeySetError::NotDiscovery)?;
    if document.issuer != issuer {
        let seen = excerpt(&document.issuer, MAX_SHOWN_CHARS);
        return Err(KeySetError::OtherIssuer { expected: issuer.to_owned(), seen });
    }
    let url = Url::parse(&document.jwks_uri).map_err(|_| KeySetError::NotDiscovery)?;
    if issuer.starts_with("https:") && url.scheme() != "https" {
        return Err(KeySetError::Insecure);
    }
    Ok(url)
}
