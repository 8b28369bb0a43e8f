//! Object stores: each type of destination writes to a server that runs here.

mod azure_blob;
mod azurite;
mod bucket;
mod cases;
mod cut;
mod export;
mod gcs;
pub mod gcs_server;
mod https;
mod process;
mod s3;
mod tls;
mod versitygw;
