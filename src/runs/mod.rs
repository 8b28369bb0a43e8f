//! Runs exports: the scheduler turns due times into runs, the dispatcher leases queued runs, and the runner delivers them.
//!
//! Every replica that runs exports does all of this. Rows of the database decide which replica does what: a due time is
//! turned into a run by one transaction, and a lease belongs to one replica.

mod active;
mod attempt;
mod dispatcher;
mod leased;
mod leases;
mod outcome;
mod remains;
mod runner;
mod scheduler;
mod settings;

pub use active::ActiveRuns;
pub use dispatcher::Dispatcher;
pub use leases::LeaseKeeper;
pub use remains::RemainsRemoval;
pub use runner::{Runner, RunnerParts};
pub use scheduler::Scheduler;
pub use settings::RunSettings;
