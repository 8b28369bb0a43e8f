//! Identity: verifies tokens and client certificates, and turns them into callers.
//!
//! Every refused caller gets the same response. The reason appears in the log and in a metric only.

mod claims;
mod development;
mod discovery;
mod error;
mod jwk;
mod jwt;
mod key_set_error;
mod key_source;
mod keyset;
mod mtls;
mod parsed_token;
mod shapes;
#[cfg(test)]
mod tests;
mod times;

pub use claims::{MAX_GROUP_BYTES, MAX_GROUPS, MAX_PRINCIPAL_BYTES};
pub use development::{DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, DevelopmentError, DevelopmentIdentity, TokenClaims};
pub use error::{AuthnError, Compared, Rejection};
pub use jwk::MAX_KEYS;
pub use jwt::{Issuer, IssuersError, MAX_TOKEN_BYTES, Verifier, bearer_token};
pub use key_set_error::{KeySetError, MAX_KEY_SET_BYTES};
pub use key_source::{FETCH_TIMEOUT, KeySource};
pub use keyset::{FETCH_INTERVAL, KeySet};
pub use mtls::{ClientCertificate, ClientTable, ClientTableError};
pub use times::{LEEWAY_SECONDS, MAX_LIFETIME_SECONDS};
