//! The listeners: where the API listens, over what, and for whom.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::identity::{Identity, IdentityMode, IssuedIdentity};
use super::setting::{Setting, SettingValue};
use super::source::Values;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "listen",
        "Address of the API. Beyond loopback it needs the `identity_mode` `jwt` or `mtls`, and TLS or \
         `plaintext = \"behind-tls\"`.",
    )
    .default("127.0.0.1:50051")
    .flag(),
    Setting::new("admin_listen", "Address of the admin listener: health for probes, and metrics; plaintext.")
        .default("127.0.0.1:50052")
        .flag(),
    Setting::new("tls_cert_file", "PEM file with the certificate chain of the API; read again when it changes."),
    Setting::new("tls_key_file", "PEM file with the private key of that certificate."),
    Setting::new(
        "plaintext",
        "`behind-tls`: a mesh or proxy terminates TLS, so the API may listen beyond loopback without it.",
    ),
    Setting::new(
        "reflection",
        "Whether server reflection is available; by default only in development mode, where it needs no token.",
    ),
];

/// The listeners of a server.
pub struct ApiConfig {
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of the admin listener.
    pub admin_listen: SocketAddr,
    /// Who can reach the API.
    pub exposure: Exposure,
    /// Whether server reflection is available.
    pub reflection: bool,
}

/// Who can reach the API, and what it therefore needs.
pub enum Exposure {
    /// Only processes of this machine.
    Loopback {
        /// How callers are identified.
        identity: Identity,
        /// TLS, if wanted.
        tls: Option<TlsFiles>,
    },
    /// Clients on other machines.
    Network {
        /// How callers are identified.
        identity: Box<IssuedIdentity>,
        /// What protects the credentials that callers send.
        tls: NetworkTls,
    },
}

/// What protects connections from other machines.
pub enum NetworkTls {
    /// TLS of this server.
    Own(TlsFiles),
    /// TLS of a mesh or proxy before it.
    Terminated,
}

/// The files of a certificate.
#[derive(Clone)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// The one value of `plaintext`.
struct BehindTls;

impl SettingValue for BehindTls {
    const EXPECTED: &'static str = "`behind-tls`";

    fn parse(text: &str) -> Option<Self> {
        (text == "behind-tls").then_some(Self)
    }
}

impl ApiConfig {
    pub(super) fn parse(values: &Values, data_dir: &Path) -> Result<Self, ConfigError> {
        let listen: SocketAddr = values.require("listen")?;
        let tls = match (values.get("tls_cert_file")?, values.get("tls_key_file")?) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => return Err(ConfigError::Conflict("`tls_cert_file` and `tls_key_file` must be set together")),
        };
        let behind_tls: Option<BehindTls> = values.get("plaintext")?;
        let mode = values.get("identity_mode")?;
        let exposure = if listen.ip().is_loopback() {
            Exposure::Loopback { identity: Identity::parse(values, mode, data_dir)?, tls }
        } else {
            let Some(mode) = mode.filter(|mode| *mode != IdentityMode::Development) else {
                return Err(ConfigError::Conflict(
                    "an API that listens beyond loopback needs `identity_mode = \"jwt\"` or `\"mtls\"`",
                ));
            };
            let tls = match (tls, behind_tls) {
                (Some(files), _) => NetworkTls::Own(files),
                (None, Some(BehindTls)) => NetworkTls::Terminated,
                (None, None) => {
                    return Err(ConfigError::Conflict(
                        "an API that listens beyond loopback receives credentials; set `tls_cert_file` and \
                         `tls_key_file`, or `plaintext = \"behind-tls\"` if a mesh or proxy terminates TLS",
                    ));
                }
            };
            Exposure::Network { identity: IssuedIdentity::parse(values, mode)?, tls }
        };
        if exposure.issued().is_some_and(|identity| identity.mtls.is_some()) && exposure.tls().is_none() {
            return Err(ConfigError::Conflict(
                "identity mode `mtls` needs TLS of this server; set `tls_cert_file` and `tls_key_file`",
            ));
        }
        let reflection = values.get("reflection")?.unwrap_or(exposure.is_development());
        Ok(Self { listen, admin_listen: values.require("admin_listen")?, exposure, reflection })
    }
}

impl Exposure {
    /// The files of this server's own TLS.
    pub fn tls(&self) -> Option<&TlsFiles> {
        match self {
            Self::Loopback { tls, .. } => tls.as_ref(),
            Self::Network { tls: NetworkTls::Own(files), .. } => Some(files),
            Self::Network { tls: NetworkTls::Terminated, .. } => None,
        }
    }

    /// How callers are identified, unless by the development identity.
    pub fn issued(&self) -> Option<&IssuedIdentity> {
        match self {
            Self::Loopback { identity: Identity::Issued(identity), .. } | Self::Network { identity, .. } => {
                Some(identity)
            }
            Self::Loopback { identity: Identity::Development { .. }, .. } => None,
        }
    }

    /// Whether callers are identified by the development identity.
    pub fn is_development(&self) -> bool {
        matches!(self, Self::Loopback { identity: Identity::Development { .. }, .. })
    }
}
