//! The catalog: the kinds of external services that connections can be made to.
//!
//! It is data, one TOML file per type, so that a new type is a new file; a bad file stops the start, never a call.

mod address;
mod check;
mod error;
mod file;
mod load;
mod spec;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

pub use error::CatalogError;
pub use spec::{AuthMethod, ConnectionType, DeliveredBy, FieldSpec, LaunchStage, Pattern, ValueType};

/// All connection types, by id.
#[derive(Clone, Debug)]
pub struct Catalog {
    types: BTreeMap<String, ConnectionType>,
}

impl Catalog {
    /// Reads the embedded types, and then those of `extra_dir`: its `*.toml`, in the order of their names.
    ///
    /// # Errors
    /// The first thing wrong, with file, line and reason.
    pub fn load(extra_dir: Option<&Path>) -> Result<Self, CatalogError> {
        load::load(extra_dir).map(|types| Self { types })
    }

    /// The type of this id.
    pub fn get(&self, id: &str) -> Option<&ConnectionType> {
        self.types.get(id)
    }

    /// All types in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &ConnectionType> {
        self.types.values()
    }

    /// All ids in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }
}
