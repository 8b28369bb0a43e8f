//! The sources of datasets, and the sample that the first start of the embedded default writes.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;

use super::keys::is_empty;
use crate::config::{DatasetSource, DatasetsConfig, DefaultSource};
use crate::delivery::datasets::{self, DatasetSettings, Datasets, SourceSettings};
use crate::dialer::Dialer;
use crate::model::Secret;
use crate::server::error::StartError;

/// The organization that the sample is for: the one of `outflow token mint`.
const SAMPLE_ORGANIZATION: &str = "acme";

/// Parses the settings of all sources. Nothing is opened.
pub fn parse(config: &DatasetsConfig, dialer: &Dialer) -> Result<Datasets, StartError> {
    let default = match &config.default {
        DefaultSource::None => None,
        DefaultSource::Embedded { directory, .. } => {
            let location = directory.to_str().map(ToOwned::to_owned).unwrap_or_default();
            Some(SourceSettings { location, secrets: BTreeMap::new() })
        }
        DefaultSource::Configured(source) => Some(settings(source)),
    };
    let organizations = config.organizations.iter().map(|(id, source)| (id.clone(), settings(source))).collect();
    Ok(Datasets::new(DatasetSettings { default, organizations }, dialer)?)
}

fn settings(source: &DatasetSource) -> SourceSettings {
    let copy = |(key, secret): (&String, &Secret)| (key.clone(), Secret::new(secret.expose().to_owned()));
    SourceSettings { location: source.location.clone(), secrets: source.options.iter().map(copy).collect() }
}

/// Opens the sources. The embedded default gets its directory and, before its database has content, a sample.
pub async fn open(config: &DatasetsConfig, dialer: &Dialer) -> Result<Datasets, StartError> {
    if let DefaultSource::Embedded { directory, database } = &config.default {
        let (directory, is_new) = (directory.clone(), is_empty(database));
        let prepare = tokio::task::spawn_blocking(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            let sample = directory.join(SAMPLE_ORGANIZATION);
            if is_new && datasets::write_sample(&sample)? {
                tracing::info!(directory = %sample.display(), "wrote a sample dataset");
            }
            Ok(())
        });
        prepare.await.map_err(std::io::Error::other).flatten().map_err(StartError::Sample)?;
    }
    parse(config, dialer)
}
