//! The vault seals credentials before they are stored, and opens them for deliveries, for tests of connections and for
//! `outflow keys verify`.
//!
//! An envelope is bound to its organization, connection, revision and the properties that decide where the connection
//! leads, so that a row that was moved, copied or retargeted in the database does not open.

mod binding;
mod credential;
mod encoding;
mod envelope;
mod error;
mod key_files;
mod key_ring;
#[cfg(test)]
mod key_tests;
mod page_tokens;
mod request_hash;
mod seal;
#[cfg(test)]
mod tests;

pub use binding::{MAX_BINDING_PATH_BYTES, MAX_BINDING_PATHS};
pub use credential::MAX_ENCODED_CREDENTIAL_BYTES;
pub use envelope::MAX_ENVELOPE_BYTES;
pub use error::VaultError;
pub use key_files::{KeyListing, generate, generate_first, list};
pub use key_ring::{KEY_BYTES, KeyError, KeyRing, MAX_KEY_ID_BYTES, MAX_KEYS};
pub use page_tokens::PageTokens;
pub use request_hash::RequestHasher;
pub use seal::{SealContext, Vault};
