//! Settings of sources: where the datasets of which organization are, and the options of its client.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Url;

use super::directory::DirectorySource;
use super::objects::ObjectSource;
use super::options::{SourceError, SourceOptions};
use super::postgres::PostgresSource;
use crate::dialer::Dialer;
use crate::model::{OrganizationId, Secret};

/// The sources of all organizations. It holds secrets, so it has no Debug.
#[derive(Default)]
pub struct DatasetSettings {
    /// The source of every organization that has none of its own.
    pub default: Option<SourceSettings>,
    /// Sources of single organizations.
    pub organizations: BTreeMap<OrganizationId, SourceSettings>,
}

/// A source. It holds secrets, so it has no Debug.
pub struct SourceSettings {
    /// A directory, or a URL: `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix`,
    /// `postgres://user@host/database`. Its query holds options that are no secrets.
    pub location: String,
    /// Options with secrets. Of object stores: those of the `object_store` crate, such as `secret_access_key`. Of
    /// PostgreSQL: `password`.
    pub secrets: BTreeMap<String, Secret>,
}

/// Where datasets are.
#[derive(Clone)]
pub enum Source {
    /// A folder per organization in a directory.
    Directory(DirectorySource),
    /// A folder per organization in an object store.
    Objects(ObjectSource),
    /// A schema per organization in a PostgreSQL database.
    Postgres(Arc<PostgresSource>),
}

impl SourceSettings {
    /// Parses the location and builds the client of an object store. Nothing is opened.
    pub fn parse(self, dialer: &Dialer) -> Result<Source, SourceError> {
        let Self { location, secrets } = self;
        if !location.contains("://") {
            let is_used = secrets.is_empty() && !location.is_empty();
            return if is_used {
                Ok(Source::Directory(DirectorySource::new(&location)))
            } else {
                Err(SourceError::Options)
            };
        }
        let mut url = Url::parse(&location).map_err(|_| SourceError::Malformed)?;
        if url.password().is_some() {
            return Err(SourceError::PasswordInUrl);
        }
        let options = SourceOptions::new(&url, secrets)?;
        url.set_query(None);
        let is_store = matches!(url.scheme(), "s3" | "az" | "gs");
        if url.fragment().is_some() || is_store && (url.port().is_some() || !url.username().is_empty()) {
            return Err(SourceError::UnusedPart);
        }
        match url.scheme() {
            "s3" | "az" | "gs" => Ok(Source::Objects(ObjectSource::new(&url, &options, dialer)?)),
            "postgres" | "postgresql" => Ok(Source::Postgres(Arc::new(PostgresSource::new(&url, options, dialer)?))),
            _ => Err(SourceError::UnknownScheme),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(location: &str, secrets: &[(&str, &str)]) -> Result<Source, SourceError> {
        let secret = |(key, value): &(&str, &str)| ((*key).to_owned(), Secret::new((*value).to_owned()));
        SourceSettings { location: location.into(), secrets: secrets.iter().map(secret).collect() }
            .parse(&Dialer::default())
    }

    #[test]
    fn locations_are_parsed_by_their_scheme() {
        assert!(matches!(parse("./datasets", &[]), Ok(Source::Directory(_))));
        let keys = [("access_key_id", "AKIA"), ("secret_access_key", "hunter2")];
        assert!(matches!(parse("s3://bucket/a/b?region=eu-central-1", &keys), Ok(Source::Objects(_))));
        let azure = [("access_key", "aHVudGVyMg==")];
        assert!(matches!(parse("az://container?account_name=acme", &azure), Ok(Source::Objects(_))));
        let database = parse("postgres://reader@db:5433/warehouse?sslmode=disable", &[("password", "hunter2")]);
        assert!(matches!(database, Ok(Source::Postgres(_))));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_without_their_values() {
        let long = [("sslmode", "hunter2")];
        for (location, secrets, problem) in [
            ("", &[][..], "the options cannot be used: one is missing or has a bad value"),
            ("./datasets", &long, "the options cannot be used: one is missing or has a bad value"),
            ("ftp://host/a", &[], "must be a directory, or begin with `s3://`, `az://`, `gs://` or `postgres://`"),
            ("s3:///prefix", &[], "the URL needs a bucket or container"),
            ("s3://bucket#x", &[], "the URL has a part that is not used: a fragment, a port, or a user"),
            ("s3://bucket?regoin=x", &[], "the option `regoin` is unknown"),
            ("s3://bucket?proxy_url=http://proxy", &[], "the option `proxy_url` is unknown"),
            ("s3://bucket?aws_proxy_url=http://proxy", &[], "the option `aws_proxy_url` is unknown"),
            ("s3://bucket?region=x", &[("region", "y")], "the option `region` is set twice"),
            ("postgres://u:hunter2@h/d", &[], "the URL must not contain a password; set it in `dataset_options`"),
            ("postgres://u@h/d", &long, "the options cannot be used: one is missing or has a bad value"),
            ("postgres://u@h/d?regoin=x", &[], "the option `regoin` is unknown"),
            ("postgres://h/d", &[], "the options cannot be used: one is missing or has a bad value"),
        ] {
            let error = parse(location, secrets).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(problem), "{location}");
        }
    }
}
