//! Shared parts of queries: lookups, SQL expressions, lists and their keyset pages, row locks, the time and the scope of an
//! organization.

pub mod columns;
pub mod expressions;
pub mod list;
pub mod locks;
pub mod lookup;
pub mod paging;
pub mod scope;
pub mod text;
pub mod time;
