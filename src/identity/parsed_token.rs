//! Decodes tokens: the parts of a JWT, the members of its header that matter, and its claims. Nothing is verified here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{AuthnError, Fault};
use super::jwk::parse_algorithm;
use crate::model::excerpt;

/// Maximum number of characters of a value of a header in a log line.
pub(super) const MAX_SHOWN_HEADER_CHARS: usize = 80;
/// The values of the header `typ` that access tokens have, in lower case: RFC 7519, section 5.1, and RFC 9068, section 2.1.
const TOKEN_TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// A token that is decoded, and not verified.
pub(super) struct ParsedToken<'a> {
    /// The members of the header.
    header: Map<String, Value>,
    /// The claims, which are not verified yet.
    pub(super) claims: Map<String, Value>,
    /// The part that is signed.
    pub(super) message: &'a str,
    /// The signature in base64url.
    pub(super) signature: &'a str,
}

/// The members of a header that matter. Others are ignored: keys and URLs of keys that a token brings above all.
pub(super) struct Header {
    /// The algorithm, which is asymmetric.
    pub(super) algorithm: Algorithm,
    /// The id of the key.
    pub(super) kid: Option<String>,
}

impl<'a> ParsedToken<'a> {
    /// Decodes a token.
    pub(super) fn parse(token: &'a str) -> Result<Self, Fault> {
        let parts: Vec<&str> = token.split('.').collect();
        if parts.len() == 5 {
            return Err(Fault::new(
                AuthnError::Malformed,
                "the token is encrypted (JWE); only signed tokens are accepted",
            ));
        }
        let &[header, payload, signature] = parts.as_slice() else {
            let detail = "the token does not have the three parts of a JWT; the issuer may send opaque tokens";
            return Err(Fault::new(AuthnError::Malformed, detail));
        };
        let Claims(header) = decode_part(header, "header")?;
        let Claims(claims) = decode_part(payload, "payload")?;
        let message = token.strip_suffix(signature).and_then(|rest| rest.strip_suffix('.'));
        Ok(Self { header, claims, message: message.ok_or(AuthnError::Malformed)?, signature })
    }

    /// Reads the header. Fails if the token is of another type, or its algorithm is symmetric or unknown.
    pub(super) fn header(&self) -> Result<Header, Fault> {
        Header::parse(&self.header)
    }
}

impl Header {
    fn parse(members: &Map<String, Value>) -> Result<Self, Fault> {
        let malformed = |detail: &'static str| Fault::new(AuthnError::Malformed, detail);
        // RFC 7515, section 4.1.11: extensions in `crit` must be understood, and none is supported.
        if members.contains_key("crit") {
            return Err(malformed("the header has `crit`, and no extension is supported"));
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(()),
        };
        let kid =
            text("kid").map_err(|()| malformed("the key id in the header is not a string"))?.map(ToOwned::to_owned);
        let token_type = text("typ").map_err(|()| malformed("`typ` in the header is not a string"))?;
        let name = text("alg").ok().flatten().ok_or_else(|| malformed("the header has no `alg`"))?;
        if let Some(other) = token_type.filter(|text| !TOKEN_TYPES.contains(&text.to_ascii_lowercase().as_str())) {
            let other = excerpt(other, MAX_SHOWN_HEADER_CHARS);
            let detail = format!("`typ` in the header is `{other}`, not `JWT` or `at+jwt`");
            return Err(Fault::new(AuthnError::TokenType, detail));
        }
        let algorithm = parse_algorithm(name).filter(|algorithm| algorithm.family() != AlgorithmFamily::Hmac);
        let algorithm = algorithm.ok_or_else(|| {
            let name = excerpt(name, MAX_SHOWN_HEADER_CHARS);
            Fault::new(
                AuthnError::Algorithm,
                format!("the algorithm `{name}` is not one of RS, PS, ES256, ES384, EdDSA"),
            )
        })?;
        Ok(Self { algorithm, kid })
    }
}

fn decode_part(part: &str, name: &str) -> Result<Claims, Fault> {
    let malformed = |problem: &str| Fault::new(AuthnError::Malformed, format!("the {name} of the token {problem}"));
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("is not unpadded base64url"))?;
    serde_json::from_slice(&json).map_err(|_| malformed("is not a JSON object without duplicate names"))
}

/// The claims of a token. A duplicate claim is an error, because two parsers could read different values (RFC 7519,
/// section 4).
struct Claims(Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object without duplicate claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Claims, A::Error> {
        let mut claims = Map::new();
        while let Some((name, value)) = access.next_entry()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate claim"));
            }
        }
        Ok(Claims(claims))
    }
}
