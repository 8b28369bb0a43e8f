//! Formats of values that have a parser of their own: keys, certificates, tokens, names of external services.
//!
//! A value is accepted as people have it at hand and returned in its normal form. A value that cannot work is refused with a
//! sentence that says what it is and what is expected; it never repeats the value.

mod aws;
mod azure;
mod certificate;
mod endpoint;
mod google;
mod kafka;
mod pem;
mod ssh_host_key;
mod ssh_private_key;
mod text;
mod webhook;
mod wrapping;

use std::borrow::Cow;

use serde::Deserialize;

pub use ssh_private_key::read as read_ssh_private_key;
pub(in crate::catalog) use text::Context;
use text::{Read, parse_guid};

/// A format that the value of a field must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Format {
    /// Fingerprints or public keys of an SSH server.
    SshHostKey,
    /// A private key for SSH. The companion is its passphrase.
    SshPrivateKey,
    /// Certificates in PEM. With a companion, which is their private key, they are a client's own; else authorities.
    PemCertificates,
    /// A private key in PEM. The companion is its password.
    PemPrivateKey,
    /// A globally unique identifier.
    Guid,
    /// Name of an S3 bucket.
    S3Bucket,
    /// URL of a store with the S3 API. The companion is the bucket.
    S3Endpoint,
    /// Code of an S3 region.
    S3Region,
    /// ID of an access key of AWS, or of another store with the S3 API. The companion is the session token.
    AwsAccessKeyId,
    /// Secret access key that belongs to an access key ID. People choose those of some stores, with quotes if they like.
    AwsSecretAccessKey,
    /// URL of the Blob service of an Azure storage account. The companion is the name of the account.
    AzureBlobEndpoint,
    /// Session token of temporary credentials of AWS.
    AwsSessionToken,
    /// Name of an Azure storage account.
    AzureStorageAccount,
    /// Name of a container of Azure Blob Storage.
    AzureContainer,
    /// Access key of an Azure storage account.
    AzureStorageAccountKey,
    /// Shared access signature for Azure Blob Storage, as a query string.
    AzureSasToken,
    /// A Microsoft Entra tenant: its ID or a domain.
    EntraTenant,
    /// Value of a client secret of a Microsoft Entra app registration.
    EntraClientSecret,
    /// URL of Google Cloud Storage.
    GcsEndpoint,
    /// Name of a bucket of Google Cloud Storage.
    GcsBucket,
    /// Key file of a Google Cloud service account.
    GcsServiceAccountKey,
    /// Address of a Kafka broker.
    KafkaBootstrapServer,
    /// Name of a Kafka topic.
    KafkaTopic,
    /// A bearer token, without scheme: printable ASCII characters, quotes among them.
    BearerToken,
    /// Signing secret of Standard Webhooks.
    WebhookSigningSecret,
    /// Output name of a field of the payload. Only settings of exports can have the format; it is checked with the payload.
    PayloadField,
}

impl Format {
    /// Whether values are secret, so that only fields of credentials can have the format.
    pub(in crate::catalog) fn is_secret(self) -> bool {
        match self {
            Self::SshPrivateKey
            | Self::PemCertificates
            | Self::PemPrivateKey
            | Self::AwsAccessKeyId
            | Self::AwsSecretAccessKey
            | Self::AwsSessionToken
            | Self::AzureStorageAccountKey
            | Self::AzureSasToken
            | Self::EntraClientSecret
            | Self::GcsServiceAccountKey
            | Self::BearerToken
            | Self::WebhookSigningSecret => true,
            Self::SshHostKey
            | Self::Guid
            | Self::S3Bucket
            | Self::S3Endpoint
            | Self::S3Region
            | Self::AzureBlobEndpoint
            | Self::AzureStorageAccount
            | Self::AzureContainer
            | Self::EntraTenant
            | Self::GcsBucket
            | Self::GcsEndpoint
            | Self::KafkaBootstrapServer
            | Self::KafkaTopic
            | Self::PayloadField => false,
        }
    }

    /// Whether values are URLs, so that only fields of the type URI can have the format.
    pub(in crate::catalog) fn is_uri(self) -> bool {
        matches!(self, Self::S3Endpoint | Self::AzureBlobEndpoint | Self::GcsEndpoint)
    }

    /// Whether a character ends an item of a list that is given as one text.
    pub(in crate::catalog) fn is_separator(self, character: char) -> bool {
        matches!(character, ',' | '\n')
            || (self == Self::KafkaBootstrapServer && (character == ';' || character.is_whitespace()))
    }

    /// Reads a value, which has no white space around it.
    ///
    /// A pair of straight quotes around a secret is dropped: keys and certificates in PEM, JSON files, identifiers and tokens
    /// in base64 or as query strings never begin and end with one. Where quotes may belong to the value it is refused.
    pub(in crate::catalog) fn read<'a>(self, text: &'a str, context: &Context<'_>) -> Read<'a> {
        let text = if self.is_secret() {
            wrapping::unwrap(text, matches!(self, Self::AwsSecretAccessKey | Self::BearerToken))?
        } else {
            text
        };
        match self {
            Self::SshHostKey => ssh_host_key::read(text).map(Cow::Owned).map_err(Cow::Borrowed),
            Self::SshPrivateKey => ssh_private_key::check(text, context.companion).map_err(Cow::Borrowed),
            Self::PemCertificates => certificate::read_certificates(text, context),
            Self::PemPrivateKey => certificate::private_key(text, context),
            Self::Guid => guid(text).map(Cow::Owned),
            Self::S3Bucket => unchanged(text, aws::check_bucket(text)),
            Self::S3Endpoint => unchanged(text, endpoint::check_s3(text, context)),
            Self::S3Region => unchanged(text, aws::check_region(text)),
            Self::AwsAccessKeyId => unchanged(text, aws::check_access_key_id(text, context)),
            Self::AwsSecretAccessKey => unchanged(text, aws::check_secret_access_key(text)),
            Self::AzureBlobEndpoint => unchanged(text, endpoint::check_azure(text, context)),
            Self::AwsSessionToken => unchanged(text, aws::check_session_token(text)),
            Self::AzureStorageAccount => unchanged(text, azure::check_storage_account(text)),
            Self::AzureContainer => unchanged(text, azure::check_container(text)),
            Self::AzureStorageAccountKey => unchanged(text, azure::check_account_key(text)),
            Self::AzureSasToken => azure::sas_token(text, context.now),
            Self::EntraTenant => azure::tenant(text),
            Self::EntraClientSecret => unchanged(text, azure::check_client_secret(text)),
            Self::GcsEndpoint => unchanged(text, endpoint::check_gcs(text)),
            Self::GcsBucket => unchanged(text, google::check_bucket(text)),
            Self::GcsServiceAccountKey => google::service_account_key(text),
            Self::KafkaBootstrapServer => kafka::bootstrap_server(text),
            Self::KafkaTopic => unchanged(text, kafka::check_topic(text)),
            Self::BearerToken => unchanged(text, webhook::check_bearer_token(text)),
            Self::WebhookSigningSecret => webhook::signing_secret(text),
            Self::PayloadField => Ok(Cow::Borrowed(text)),
        }
    }
}

fn unchanged<'a>(text: &'a str, checked: Result<(), &'static str>) -> Read<'a> {
    checked.map(|()| Cow::Borrowed(text)).map_err(Cow::Borrowed)
}

fn guid(text: &str) -> Result<String, Cow<'static, str>> {
    let parsed = parse_guid(text).ok_or(Cow::Borrowed(
        "must be a GUID: 32 hexadecimal digits in groups, such as 6731de76-14a6-49ae-97bc-6eba6914391e",
    ))?;
    Ok(parsed.hyphenated().to_string())
}
