//! How a PostgreSQL server is reached.

use super::secret::Secret;

/// The default port of PostgreSQL.
pub const POSTGRES_PORT: u16 = 5432;

/// What TLS protects a connection from; the values are those of `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Connections are not encrypted.
    Disable,
    /// TLS if the server has it, without verification.
    Prefer,
    /// TLS without verification.
    Require,
    /// TLS with a certificate of a trusted authority.
    VerifyCa,
    /// TLS with a certificate of a trusted authority for the host.
    VerifyFull,
}

/// What is between this process and PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or something that passes start-up parameters on.
    #[default]
    None,
    /// A pooler that gives each client a server connection of its own, and refuses start-up parameters.
    Session,
}

/// Separate settings, instead of a URL. It holds a password, so it has no Debug.
pub struct DatabaseLogin {
    /// Host name, address, or directory of a Unix socket.
    pub host: String,
    /// TCP port of the server.
    pub port: u16,
    /// Name of the database.
    pub name: String,
    /// Role that logs in.
    pub user: String,
    /// Password; `None`: the server asks for none.
    pub password: Option<Secret>,
}

impl SslMode {
    /// Parses a value of `sslmode`. `allow` is none: the driver would never use TLS.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "disable" => Some(Self::Disable),
            "prefer" => Some(Self::Prefer),
            "require" => Some(Self::Require),
            "verify-ca" => Some(Self::VerifyCa),
            "verify-full" => Some(Self::VerifyFull),
            _ => None,
        }
    }
}
