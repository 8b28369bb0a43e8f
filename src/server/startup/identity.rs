//! Creates the verifier of the configured identity provider.

use std::time::Duration;

use crate::config::{Exposure, Identity, JwtConfig, KeySetLocation};
use crate::dialer::Dialer;
use crate::identity::{DevelopmentIdentity, Issuer, IssuerSettings, KeySet, KeySource, Verifier};
use crate::server::error::StartError;
use crate::telemetry::inject_trace_context;

/// How long the last fetched keys may be used while the issuer does not respond.
const MAX_STALE: Duration = Duration::from_hours(24);

/// The verifier, and the keys of an issuer, which a background task refreshes.
pub async fn verifier(exposure: &Exposure, dialer: &Dialer) -> Result<(Verifier, Option<KeySet>), StartError> {
    match exposure {
        Exposure::Loopback { identity: Identity::Development { data_dir }, .. } => {
            Ok((DevelopmentIdentity::open(data_dir)?.verifier().await?, None))
        }
        Exposure::Loopback { identity: Identity::Jwt(jwt), .. } | Exposure::Network { identity: jwt, .. } => {
            issuer(jwt, dialer).await
        }
    }
}

async fn issuer(jwt: &JwtConfig, dialer: &Dialer) -> Result<(Verifier, Option<KeySet>), StartError> {
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
    Ok((Verifier::new(vec![Issuer { settings, keys: keys.clone() }])?, Some(keys)))
}
