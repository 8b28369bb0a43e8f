//! Each destination delivers whole: the process is killed at any point of a delivery, or the far side has no space left, and
//! nobody sees a part of a result; the next attempt delivers it exactly once. Files arrive alike at all destinations.

mod buckets;
mod content;
mod directories;
mod far_side;
mod files;
mod formats;
mod full;
mod kills;
mod local_watch;
mod postgresql;
mod proxy;
mod service;
mod webhook;
