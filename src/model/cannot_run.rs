//! Why exports cannot run.

use std::fmt;

/// Why an export cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotRun {
    /// The export is detached.
    ExportInactive {
        /// Resource name of the export.
        export: String,
    },
    /// The connection of the export is suspended.
    ConnectionSuspended {
        /// Resource name of the export.
        export: String,
    },
    /// The connection of the export has no valid credential, or its type is unknown.
    CredentialRequired {
        /// Resource name of the export.
        export: String,
    },
    /// No runner executes runs of the connection type.
    NoRunner {
        /// Resource name of the type.
        connection_type: String,
    },
    /// A run of the export is unfinished.
    RunInProgress {
        /// Resource name of the run.
        run: String,
    },
}

impl fmt::Display for CannotRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExportInactive { export } => write!(formatter, "{export} is detached"),
            Self::ConnectionSuspended { export } => write!(formatter, "the connection of {export} is suspended"),
            Self::CredentialRequired { export } => {
                write!(formatter, "the connection of {export} has no valid credential")
            }
            Self::NoRunner { connection_type } => write!(formatter, "no runner for {connection_type}"),
            Self::RunInProgress { run } => write!(formatter, "{run} is unfinished"),
        }
    }
}
