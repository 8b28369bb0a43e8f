//! Destinations against real servers, without the engine and the control plane.

mod content;
mod local_directory;
mod sftp;
mod tmpfs;
