//! Suspends a connection or erases its credential, which blocks its exports. The only code that does.

use super::{audit, stored};
use crate::app::MutationTx;
use crate::model::audit::AuditDiff;
use crate::model::{Connection, CredentialStatus, Result, SkipReason};
use crate::store;

/// Why a connection becomes unavailable to its exports.
pub enum Cause<'a> {
    /// An administrator suspends it.
    Suspend {
        /// The administrator's reason.
        reason: &'a str,
    },
    /// Its credential is revoked.
    RevokeCredential,
}

/// Makes a locked connection unavailable. Its exports stay attached and are blocked. Nothing changes if it is already
/// suspended with the same reason, or has no credential. Returns whether it changed.
pub async fn make_unavailable(tx: &mut MutationTx<'_>, before: &Connection, cause: Cause<'_>) -> Result<bool> {
    let mut after = before.clone();
    match cause {
        Cause::Suspend { reason } => {
            after.suspended = true;
            reason.clone_into(&mut after.suspend_reason);
            if after == *before {
                return Ok(false);
            }
            stored::save(tx, before, &mut after, reason).await?;
            block_runs(tx, &after, SkipReason::ConnectionSuspended).await?;
        }
        Cause::RevokeCredential => {
            if before.credential.auth_method.is_none() {
                return Ok(false);
            }
            after.last_test = None;
            after.credential =
                CredentialStatus { revision: before.credential.revision + 1, ..CredentialStatus::default() };
            stored::touch(tx, &mut after);
            store::credentials::erase(tx.db, &tx.scope, after.uid).await?;
            store::connections::update(tx.db, &after).await?;
            tx.audit(audit::resource(&after), AuditDiff::new().redacted("credential"), None, "");
            block_runs(tx, &after, SkipReason::CredentialRequired).await?;
        }
    }
    Ok(true)
}

/// Skips the queued runs on a connection, and cancels those that a runner delivers.
async fn block_runs(tx: &MutationTx<'_>, connection: &Connection, reason: SkipReason) -> Result<()> {
    store::runs::changes::block_on_connection(tx.db, &tx.scope, connection.uid, reason, tx.now).await
}
