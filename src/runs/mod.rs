//! Runs exports: the scheduler turns due times into runs, the dispatcher leases queued runs, and the runner delivers them.
//!
//! Every replica that runs exports does all of this. Rows of the database decide which replica does what: a due time is
//! turned into a run by one transaction, and a lease belongs to one replica.

mod active;
mod attempt;
mod dispatcher;
mod lease_keeper;
mod leased;
mod leases;
mod outcome;
mod pin_payload;
mod remains;
mod runner;
mod scheduler;
mod settings;

pub use active::{ActiveRuns, Interruption};
pub use attempt::AttemptError;
pub use dispatcher::Dispatcher;
pub use lease_keeper::LeaseKeeper;
pub use leased::{LeaseTerms, LeasedRun, lease};
pub use outcome::{attempt_end, save_attempt_end};
pub use remains::RemainsRemoval;
pub use runner::{Runner, RunnerParts};
pub use scheduler::Scheduler;
pub use settings::RunSettings;
