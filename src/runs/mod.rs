//! Runs exports: the scheduler turns due times into runs, the dispatcher leases queued runs, and the runner delivers them.
//!
//! Every replica that runs exports does all of this. Rows of the database decide which replica does what: a due time is
//! turned into a run by one transaction, and a lease belongs to one replica.

mod scheduler;
mod settings;

pub use scheduler::Scheduler;
pub use settings::RunSettings;
