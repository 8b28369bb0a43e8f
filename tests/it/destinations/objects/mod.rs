//! Object stores: each type of destination writes to a server that runs here.

mod azure_blob;
pub mod azurite;
pub mod bucket;
mod cases;
mod cut;
pub mod export;
mod gcs;
pub mod gcs_server;
pub mod https;
mod process;
mod s3;
pub mod tls;
pub mod versitygw;
