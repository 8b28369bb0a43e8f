//! Filters: typed comparisons with the semantics of SQL, evaluated on rows and on the statistics of row groups.

mod operand;
mod predicate;
mod prune;

pub use predicate::{Predicate, evaluate_all};
pub use prune::row_groups;
