//! The dialer: every outbound connection of the process, except those to its own database and to its telemetry collector.
//!
//! Addresses are checked when a connection is opened: a name is resolved once, every resolved address must be permitted, and
//! the connection goes to one of these addresses. There are no redirects and no proxies.
//!
//! | To connect with | Use |
//! |---|---|
//! | HTTP | [`Network::http_client`] |
//! | `object_store` | [`Network::object_store_connector`] |
//! | a library that takes a stream | [`Network::connect`] |
//! | sqlx, which takes none | [`Relay`] |
//! | a URL of the configuration | [`Dialer::operator_client`], [`Dialer::operator_network`] |
//! | an object store of the configuration | [`Dialer::operator_object_store_connector`] |

mod address;
mod certificates;
mod error;
mod host;
mod http;
mod network;
mod object_store;
mod relay;
mod resolver;
#[cfg(test)]
mod tests;

pub use certificates::AuthoritiesError;
pub use error::DialError;
pub use http::{HttpClient, HttpOptions};
pub use network::{Dialer, DialerSettings, MAX_ADDRESSES, Network};
pub use object_store::{ObjectStoreConnector, OperatorObjectStoreConnector};
pub use relay::Relay;
pub use resolver::Resolver;
