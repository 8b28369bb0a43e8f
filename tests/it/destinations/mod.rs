//! Destinations against real servers, without the engine and the control plane.

mod certificates;
mod content;
mod cuts;
mod local_directory;
mod objects;
mod postgresql;
mod services;
pub mod sftp;
mod tmpfs;
mod webhook;
