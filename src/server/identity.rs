//! Who is believed: the verifier that the settings ask for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::config::{IdentityMode, Settings};
use crate::identity::{DevelopmentIdentity, Issuer, IssuerSettings, KeySet, KeySource, Verifier};

/// How often an issuer's keys are fetched again.
const REFRESH: Duration = Duration::from_mins(5);
/// How long the last good keys serve when the issuer does not answer.
const MAX_STALE: Duration = Duration::from_hours(24);

/// The verifier; with an issuer also the task that keeps its keys fresh.
pub async fn verifier(settings: &Settings, stop: &CancellationToken) -> Result<Verifier, StartError> {
    if settings.identity_mode() == IdentityMode::Development {
        return Ok(DevelopmentIdentity::open(&settings.data_dir)?.verifier().await?);
    }
    let url = settings.jwt_jwks_url.clone().map(KeySource::Url);
    let file = settings.jwt_jwks_file.clone().map(KeySource::File);
    let source = url.or(file).unwrap_or_else(|| KeySource::Fixed(String::new()));
    let keys = KeySet::load(source, MAX_STALE).await?;
    tokio::spawn(refresh(keys.clone(), stop.clone()));
    let settings = IssuerSettings {
        issuer: settings.jwt_issuer.clone().unwrap_or_default(),
        audiences: settings.jwt_audience.iter().cloned().collect(),
        principal_prefix: settings.jwt_principal_prefix.clone().unwrap_or_default(),
        organization_claim: settings.jwt_organization_claim.clone(),
        roles_claim: settings.jwt_roles_claim.clone(),
        groups_claim: settings.jwt_groups_claim.clone(),
        role_values: None,
    };
    Ok(Verifier::new(vec![Issuer { settings, keys }])?)
}

async fn refresh(keys: KeySet, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REFRESH) => {}
        }
        if let Err(error) = keys.refresh().await {
            tracing::warn!(%error, "the issuer's keys could not be fetched; the last ones serve on");
        }
    }
}
