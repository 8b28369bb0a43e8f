//! Destinations that are directories: files are written under temporary names and renamed when the delivery is committed.
//!
//! A staged file lies in its final folder as `NAME.part-RUN-ATTEMPT`. A commit first stages the manifest, then renames all
//! files, and the manifest last. An attempt removes what earlier attempts of its run left: staged files, and everything
//! in a folder that belongs to the run alone. If no attempt follows, [`remove_staged`] does.

mod file_system;
mod names;
mod remains;
mod writer;

pub use file_system::{Entry, FileSystem};
pub use names::is_segment;
pub use remains::remove_staged;
pub use writer::{open, probe};
