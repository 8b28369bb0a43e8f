//! Destinations against real servers, without the engine and the control plane.

pub mod certificates;
mod content;
mod cuts;
mod local_directory;
pub mod objects;
mod postgresql;
mod services;
mod sftp;
mod tmpfs;
mod webhook;
