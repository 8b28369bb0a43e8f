//! The catalog of connection types: the external services that connections can be made to.
//!
//! A type is a TOML file, so that a new type needs no code. All files are validated at start: an invalid file prevents the
//! start and never fails a call.

mod address;
mod check;
mod error;
mod file;
mod format;
mod load;
mod spec;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

pub use error::CatalogError;
pub use format::{Format, read_ssh_private_key};
pub use spec::{
    AllowedValue, AuthMethod, Condition, ConnectionType, DeliveredBy, DeliveryGuarantee, FieldSpec, LaunchStage,
    Pattern, TypeFilter, ValueType,
};

/// All connection types, by id.
#[derive(Clone, Debug)]
pub struct Catalog {
    types: BTreeMap<String, ConnectionType>,
}

impl Catalog {
    /// Loads the embedded types, then the `*.toml` files of `extra_dir` in the order of their names.
    ///
    /// # Errors
    /// Returns the first error, with file, line and reason.
    pub fn load(extra_dir: Option<&Path>) -> Result<Self, CatalogError> {
        load::load(extra_dir).map(|types| Self { types })
    }

    /// Returns the type with this id.
    pub fn get(&self, id: &str) -> Option<&ConnectionType> {
        self.types.get(id)
    }

    /// Iterates over all types in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &ConnectionType> {
        self.types.values()
    }

    /// Iterates over all ids in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }
}
