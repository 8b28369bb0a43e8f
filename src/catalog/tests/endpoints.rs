//! Values of the endpoint of Azure Blob Storage.

use super::field_cases::{Case, WITHOUT_HTTPS, texts};

pub(super) fn azure_blob() -> Case {
    texts(
        "azure_blob.endpoint",
        &[
            "https://acmeexports.blob.core.usgovcloudapi.net",
            "https://acmeexports.z01.blob.storage.azure.net/",
            "https://127.0.0.1:10000/devstoreaccount1",
            "https://blobs.example.com",
        ],
        &[
            ("https://acmeexports.blob.core.windows.net/exports", "contains the container"),
            ("https://127.0.0.1:10000/acmeexports/exports", "contains the container"),
            ("https://acmeexports.dfs.core.windows.net", "is of another service"),
            ("https://acmeexports.file.core.windows.net", "is of another service"),
            ("https://acmeexports.queue.core.windows.net/", "is of another service"),
            ("https://blob.core.windows.net", "lacks the storage account"),
            ("https://acmeexports.privatelink.blob.core.windows.net", "has privatelink in its host"),
            ("https://acmeexports-secondary.blob.core.windows.net", "is the secondary endpoint"),
            ("https://acmeimports.blob.core.windows.net", "is of another storage account"),
            ("https://acmeexports.blob.core.windows.net/?sv=2024-11-04&sig=a", "has a shared access signature"),
            ("http://127.0.0.1:10000/devstoreaccount1", "https URL"),
            ("acmeexports.blob.core.windows.net", WITHOUT_HTTPS),
        ],
    )
}
