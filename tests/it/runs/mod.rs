//! Runs: started, cancelled, read and watched by callers, and executed by the service.

mod calls;
mod delivery;
mod gates;
mod leases;
mod object_sources;
mod replicas;
mod schedule;
pub mod shared;
mod watch;
pub mod whole;
