//! Makes a connection unusable for its exports. No other code does.

use super::{audit, credential, stored};
use crate::app::MutationTx;
use crate::model::audit::AuditDiff;
use crate::model::{Connection, Result};
use crate::store;

/// Why a connection becomes unusable.
pub enum Withdrawal<'a> {
    /// An administrator suspends it.
    Suspend {
        /// The administrator's reason.
        reason: &'a str,
    },
    /// Its credential is revoked.
    RevokeCredential,
}

/// Makes a locked connection unusable. Its exports stay attached and are blocked. Nothing changes if it is unusable for
/// this reason already.
pub async fn withdraw(tx: &mut MutationTx<'_>, before: &Connection, withdrawal: Withdrawal<'_>) -> Result<()> {
    let mut after = before.clone();
    match withdrawal {
        Withdrawal::Suspend { reason } => {
            after.suspended = true;
            reason.clone_into(&mut after.suspend_reason);
            if after != *before {
                stored::save(tx, before, &mut after, reason).await?;
            }
        }
        Withdrawal::RevokeCredential => {
            if before.credential.auth_method.is_some() {
                stored::touch(tx, &mut after);
                store::connections::update(tx.db, &after).await?;
                credential::erase(tx, &mut after).await?;
                tx.audit(audit::resource(&after), AuditDiff::new().redacted("credential"), None, "");
            }
        }
    }
    Ok(())
}
