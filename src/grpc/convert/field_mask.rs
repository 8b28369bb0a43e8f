//! Field masks (AIP-134).

use std::collections::BTreeSet;

use super::validator::RequestValidator;
use crate::model::{excerpt, limits};

/// The fields that an update takes from its request.
pub enum UpdateMask {
    /// Populated fields.
    Populated,
    /// All mutable ones.
    All,
    /// Named fields.
    Named(BTreeSet<String>),
}

impl UpdateMask {
    /// Parses a mask. A path that is unknown, that goes into a message, or that this RPC cannot change is a violation.
    ///
    /// `immutable` are the fields that are refused as immutable, each with what to do instead.
    pub fn parse(
        validator: &mut RequestValidator<'_>,
        mask: Option<&prost_types::FieldMask>,
        mutable: &[&str],
        immutable: &[(&str, &str)],
    ) -> Self {
        let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
        match paths {
            [] => return Self::Populated,
            [star] if star == "*" => return Self::All,
            _ => {}
        }
        if paths.len() > limits::MAX_MASK_PATHS {
            validator.add("update_mask", format!("must have at most {} paths", limits::MAX_MASK_PATHS));
            return Self::Named(BTreeSet::new());
        }
        for path in paths {
            let head = path.split('.').next().unwrap_or(path);
            let shown = excerpt(path, limits::MAX_REPEATED_CHARS);
            if let Some((_, instead)) = immutable.iter().find(|(field, _)| *field == head) {
                let description = format!("must not contain {shown}; {instead}");
                validator.immutable.add("update_mask", description);
            } else if !mutable.contains(&head) {
                validator
                    .add("update_mask", format!("must not contain {shown}; it may contain {}", mutable.join(", ")));
            } else if head != path {
                validator.add(
                    "update_mask",
                    format!("must contain {head} instead of {shown}; {head} is replaced as a whole"),
                );
            }
        }
        Self::Named(paths.iter().cloned().collect())
    }

    /// Whether a field is in the mask.
    pub fn takes(&self, field: &str, populated: bool) -> bool {
        match self {
            Self::Populated => populated,
            Self::All => true,
            Self::Named(fields) => fields.contains(field),
        }
    }

    /// Whether the caller named the fields one by one.
    pub fn is_explicit(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}
