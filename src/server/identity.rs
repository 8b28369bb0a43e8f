//! Who is believed: the verifier that the settings ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::config::{ConfigError, IdentityMode, Settings};
use crate::identity::{DevelopmentIdentity, Issuer, IssuerSettings, KeySet, KeySource, Verifier};
use crate::model::Role;

/// How often an issuer's keys are fetched again.
const REFRESH: Duration = Duration::from_mins(5);
/// How long the last good keys serve when the issuer does not answer.
const MAX_STALE: Duration = Duration::from_hours(24);

/// The verifier; with an issuer also its keys, and the task that keeps them fresh.
pub async fn verifier(settings: &Settings, stop: &CancellationToken) -> Result<(Verifier, Option<KeySet>), StartError> {
    if settings.identity_mode() == IdentityMode::Development {
        return Ok((DevelopmentIdentity::open(&settings.data_dir)?.verifier().await?, None));
    }
    let role_values = settings.jwt_role_values.as_deref().map(role_values).transpose()?;
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
        role_values,
    };
    Ok((Verifier::new(vec![Issuer { settings, keys: keys.clone() }])?, Some(keys)))
}

/// What the setting says: each value of an issuer stands for one role.
pub fn role_values(pairs: &str) -> Result<BTreeMap<String, Role>, ConfigError> {
    let refused =
        || ConfigError::Refused("`jwt_role_values` must be `value=role` pairs between commas, no value twice");
    let mut values = BTreeMap::new();
    for pair in pairs.split(',') {
        let (value, role) = pair.split_once('=').ok_or_else(refused)?;
        let (value, role) = (value.trim().to_owned(), Role::parse(role.trim()).ok_or_else(refused)?);
        if value.is_empty() || values.insert(value, role).is_some() {
            return Err(refused());
        }
    }
    Ok(values)
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
