//! Connections: where data may go. Managed by administrators; contributors search those that they may use.

mod audit;
mod availability;
mod change;
mod create;
mod credential;
mod delete;
mod get;
mod list;
mod properties;
mod resume;
mod revoke_credential;
mod rotate_credential;
mod search_usable;
mod share;
mod stored;
mod stream_blocking_exports;
mod suspend;
mod test;
mod unshare;
mod update;
mod watch;

pub use change::ConnectionChange;
pub use create::{ConnectionDraft, CreateConnection};
pub use credential::CredentialInput;
pub use delete::DeleteConnection;
pub use resume::ResumeConnection;
pub use revoke_credential::RevokeConnectionCredential;
pub use rotate_credential::RotateConnectionCredential;
pub use share::ShareConnection;
pub use stream_blocking_exports::{BlockingEvent, BlockingMessage};
pub use suspend::SuspendConnection;
pub use test::TestConnection;
pub use unshare::UnshareConnection;
pub use update::{ConnectionUpdate, UpdateConnection};
pub use watch::{ConnectionWatcher, TASK as WATCH_TASK};
