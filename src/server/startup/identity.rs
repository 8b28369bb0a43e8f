//! Opens what identifies callers: the keys of the issuers of tokens, and the table of clients.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::background::IssuerKeys;
use crate::config::{Exposure, Identity, IssuedIdentity, JwtConfig, KeySetLocation};
use crate::dialer::Dialer;
use crate::identity::{ClientTable, DevelopmentIdentity, Issuer, KeySet, KeySource, Verifier};
use crate::server::error::StartError;
use crate::telemetry::inject_trace_context;

/// How long the last fetched keys may be used while the issuer does not respond.
const MAX_STALE: Duration = Duration::from_hours(24);

/// What identifies callers.
#[derive(Default)]
pub struct Callers {
    /// Verifies tokens of the configured issuers; `None`: callers have client certificates alone.
    pub tokens: Option<Verifier>,
    /// The keys of the issuers of tokens, which background tasks refresh.
    pub issuer_keys: Vec<IssuerKeys>,
    /// The clients whose certificates are accepted.
    pub clients: Option<Arc<ClientTable>>,
}

/// Opens what identifies callers.
pub async fn open(exposure: &Exposure, dialer: &Dialer) -> Result<Callers, StartError> {
    match exposure {
        Exposure::Loopback { identity: Identity::Development { data_dir }, .. } => {
            let tokens = Some(DevelopmentIdentity::open(data_dir)?.verifier().await?);
            Ok(Callers { tokens, ..Callers::default() })
        }
        Exposure::Loopback { identity: Identity::Issued(identity), .. } | Exposure::Network { identity, .. } => {
            issued(identity, dialer).await
        }
    }
}

async fn issued(identity: &IssuedIdentity, dialer: &Dialer) -> Result<Callers, StartError> {
    let mut callers = Callers::default();
    if let Some(mtls) = &identity.mtls {
        let issuer_prefixes: Vec<_> = identity.jwt.iter().map(|jwt| jwt.settings.principal_prefix.clone()).collect();
        let clients = ClientTable::open(&mtls.clients, &mtls.principal_prefix, &issuer_prefixes)?;
        callers.clients = Some(Arc::new(clients));
    }
    if !identity.jwt.is_empty() {
        let issuers = try_join_all(identity.jwt.iter().map(|jwt| issuer(jwt, dialer))).await?;
        let keys = |issuer: &Issuer| IssuerKeys { issuer: issuer.settings.issuer.clone(), keys: issuer.keys.clone() };
        callers.issuer_keys = issuers.iter().map(keys).collect();
        let mut tokens = Verifier::new(issuers)?;
        if let Some(mtls) = &identity.mtls {
            tokens.reserve_prefix(&mtls.principal_prefix);
        }
        callers.tokens = Some(tokens);
    }
    Ok(callers)
}

/// Opens an issuer and loads its keys. If another host does not send them, the server starts without them, is not ready,
/// and tries again.
async fn issuer(jwt: &JwtConfig, dialer: &Dialer) -> Result<Issuer, StartError> {
    let keys = KeySet::open(source(jwt, dialer), MAX_STALE)?;
    if let Err(error) = keys.refresh().await {
        if !keys.is_remote() {
            return Err(error.into());
        }
        let (issuer, error) = (jwt.settings.issuer.as_str(), &error as &dyn Error);
        tracing::warn!(
            issuer,
            error,
            "cannot load the keys of an issuer; the server is not ready until they are loaded"
        );
        keys.request_refresh();
    }
    Ok(Issuer { settings: jwt.settings.clone(), keys })
}

fn source(jwt: &JwtConfig, dialer: &Dialer) -> KeySource {
    let (headers, dialer) = (inject_trace_context as fn(&mut _), dialer.clone());
    match &jwt.key_set {
        KeySetLocation::Url(url) => KeySource::Url { url: url.clone(), headers, dialer },
        KeySetLocation::Discovery => KeySource::Issuer { issuer: jwt.settings.issuer.clone(), headers, dialer },
        KeySetLocation::File(path) => KeySource::File(path.clone()),
    }
}
