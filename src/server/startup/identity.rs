//! Opens what identifies callers: the keys of the issuer of tokens, and the table of clients.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Exposure, Identity, IssuedIdentity, JwtConfig, KeySetLocation};
use crate::dialer::Dialer;
use crate::identity::{ClientTable, DevelopmentIdentity, Issuer, IssuerSettings, KeySet, KeySource, Verifier};
use crate::server::error::StartError;
use crate::telemetry::inject_trace_context;

/// How long the last fetched keys may be used while the issuer does not respond.
const MAX_STALE: Duration = Duration::from_hours(24);

/// What identifies callers.
#[derive(Default)]
pub struct Callers {
    /// Verifies tokens.
    pub tokens: Option<Verifier>,
    /// The keys of the issuer of tokens, which a background task refreshes.
    pub issuer_keys: Option<KeySet>,
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
        let issuer_prefix = identity.jwt.as_ref().map(|jwt| jwt.principal_prefix.as_str());
        let clients = ClientTable::open(&mtls.clients, &mtls.principal_prefix, issuer_prefix)?;
        callers.clients = Some(Arc::new(clients));
    }
    if let Some(jwt) = &identity.jwt {
        let (mut tokens, keys) = issuer(jwt, dialer).await?;
        if let Some(mtls) = &identity.mtls {
            tokens.reserve_prefix(&mtls.principal_prefix);
        }
        (callers.tokens, callers.issuer_keys) = (Some(tokens), Some(keys));
    }
    Ok(callers)
}

async fn issuer(jwt: &JwtConfig, dialer: &Dialer) -> Result<(Verifier, KeySet), StartError> {
    let source = match &jwt.key_set {
        KeySetLocation::Url(url) => {
            KeySource::Url { url: url.clone(), headers: inject_trace_context, dialer: dialer.clone() }
        }
        KeySetLocation::File(path) => KeySource::File(path.clone()),
    };
    let keys = KeySet::load(source, MAX_STALE).await?;
    let settings = IssuerSettings {
        issuer: jwt.issuer.clone(),
        audiences: vec![jwt.audience.clone()],
        principal_prefix: jwt.principal_prefix.clone(),
        organization_claim: jwt.organization_claim.clone(),
        roles_claim: jwt.roles_claim.clone(),
        groups_claim: jwt.groups_claim.clone(),
        role_values: jwt.role_values.clone(),
    };
    Ok((Verifier::new(vec![Issuer { settings, keys: keys.clone() }])?, keys))
}
