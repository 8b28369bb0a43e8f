//! URLs of object stores: people copy them with a bucket, a container or another account in them.

use std::net::Ipv4Addr;

use super::text::Context;

/// Domains of public stores with the S3 API. Hosts below them are regions and accounts of the store, and buckets below these.
const S3_DOMAINS: [&str; 14] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".digitaloceanspaces.com",
    ".r2.cloudflarestorage.com",
    ".storage.googleapis.com",
    ".backblazeb2.com",
    ".wasabisys.com",
    ".scw.cloud",
    ".linodeobjects.com",
    ".vultrobjects.com",
    ".your-objectstorage.com",
    ".exo.io",
    ".ovh.net",
    ".aliyuncs.com",
];

/// Domains of the storage accounts of each cloud of Azure.
pub(super) const AZURE_DOMAINS: [&str; 4] =
    [".core.windows.net", ".core.chinacloudapi.cn", ".core.usgovcloudapi.net", ".storage.azure.net"];

/// The parts of an http or https URL.
struct Parts<'a> {
    /// The host in lower case, without port.
    host: String,
    /// The path without slashes around it.
    path: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let is_literal = authority.starts_with('[');
        let host = if is_literal { authority } else { authority.split(':').next().unwrap_or_default() };
        Self { host: host.to_ascii_lowercase(), path: path.split('?').next().unwrap_or_default().trim_matches('/') }
    }
}

/// Whether a host is one of a public store with the S3 API.
pub(super) fn is_s3_store(host: &str) -> bool {
    S3_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

/// Checks the endpoint of a store with the S3 API. The companion is the bucket.
///
/// The name of a bucket can also be the name of an own server. Its host is only refused if what follows the name is a store.
pub(super) fn check_s3(url: &str, context: &Context<'_>) -> Result<(), &'static str> {
    let Some(bucket) = context.companion else { return Ok(()) };
    let Parts { host, path } = Parts::of(url);
    let store = host.strip_prefix(&bucket.to_ascii_lowercase()).and_then(|rest| rest.strip_prefix('.'));
    let is_in_host = store.is_some_and(|store| {
        is_s3_store(&format!(".{store}")) || ["s3.", "s3-", "minio."].iter().any(|prefix| store.starts_with(prefix))
    });
    if is_in_host || path.rsplit('/').next() == Some(bucket) {
        return Err("contains the bucket; enter the endpoint without it");
    }
    Ok(())
}

/// Checks the endpoint of a Blob service. The companion is the name of the storage account.
pub(super) fn check_azure(url: &str, context: &Context<'_>) -> Result<(), &'static str> {
    if url.contains("sig=") {
        return Err("has a shared access signature; enter it as the credential, with the auth method sas_token");
    }
    let Parts { host, path } = Parts::of(url);
    let domain = AZURE_DOMAINS.iter().find_map(|domain| host.strip_suffix(domain));
    let Some(name) = domain else { return check_other_blob_host(path, context) };
    let labels: Vec<&str> = name.split('.').collect();
    if labels.contains(&"privatelink") {
        return Err(
            "has privatelink in its host, which the certificate does not cover; enter the usual host, such as \
                    https://ACCOUNT.blob.core.windows.net, which leads to the private endpoint",
        );
    }
    if labels.last() != Some(&"blob") {
        return Err("is of another service than Blob; enter the URL of the Blob service, such as \
                    https://ACCOUNT.blob.core.windows.net");
    }
    let [account, _, ..] = labels.as_slice() else {
        return Err("lacks the storage account; enter its URL, such as https://ACCOUNT.blob.core.windows.net");
    };
    if account.ends_with("-secondary") {
        return Err("is the secondary endpoint, which is read-only; enter it without -secondary");
    }
    if !path.is_empty() {
        return Err("contains the container or another path; enter the URL of the Blob service without path");
    }
    match context.companion {
        Some(name) if name != *account => {
            Err("is of another storage account than account_name; enter the name and the URL of the same one")
        }
        Some(_) | None => Ok(()),
    }
}

/// Emulators have the account in the path, and other hosts are domains of their own.
fn check_other_blob_host(path: &str, context: &Context<'_>) -> Result<(), &'static str> {
    match path.split_once('/') {
        Some((account, _)) if context.companion == Some(account) => {
            Err("contains the container; enter the endpoint without it")
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks the endpoint of Google Cloud Storage.
pub(super) fn check_gcs(url: &str) -> Result<(), &'static str> {
    let Parts { host, .. } = Parts::of(url);
    if host.ends_with(".storage.googleapis.com") {
        return Err("contains the bucket; enter the endpoint without it, https://storage.googleapis.com");
    }
    if ["storage.cloud.google.com", "console.cloud.google.com"].contains(&host.as_str()) {
        return Err("is a page for people; leave the endpoint at its default, https://storage.googleapis.com");
    }
    Ok(())
}

/// Whether a text is an IPv4 address.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}
