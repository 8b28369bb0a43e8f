//! Each destination delivers whole: the process is killed at any point of a delivery, or the far side has no space left, and
//! no part of a result is visible; the next attempt delivers it exactly once. Every destination receives the same files.

mod buckets;
mod content;
mod directories;
pub mod far_side;
mod files;
mod formats;
mod full;
mod kills;
mod local_watch;
mod postgresql;
pub mod proxy;
mod service;
mod webhook;
