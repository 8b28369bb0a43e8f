//! Destinations against real servers, without the engine and the control plane.

pub mod certificates;
mod content;
mod cuts;
mod local_directory;
pub mod objects;
pub mod postgresql;
pub mod services;
pub mod sftp;
pub mod tmpfs;
pub mod webhook;
