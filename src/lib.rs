//! Outflow governs what data leaves a platform.

pub mod model;
