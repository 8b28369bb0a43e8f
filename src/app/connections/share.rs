//! ShareConnection and UnshareConnection: who may use a connection.

use std::collections::BTreeSet;

use super::{Connection, answer, changes, effect_of, lock, subject, touch};
use crate::app::App;
use crate::app::change::{Change, Effect};
use crate::model::{Call, Member, Mutation, ResourceId, Result, Role, check_member_count};
use crate::store;
use crate::store::locks::LockMode;

/// Whom to share with, or whom to take shares from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareChange {
    /// Which connection.
    pub id: ResourceId,
    /// As the caller last saw it; empty: whatever it is.
    pub etag: String,
    /// Every contributor.
    pub all_contributors: bool,
    /// These.
    pub members: BTreeSet<Member>,
}

/// What an unshare did.
#[derive(Clone, Debug, PartialEq)]
pub struct Unshared {
    /// The connection as it is now.
    pub connection: Connection,
    /// How many exports are attached, if a share was taken away.
    pub affected_export_count: u64,
}

impl App {
    /// Shares a connection with more contributors.
    pub async fn share_connection(&self, call: &Call, mutation: Mutation, input: ShareChange) -> Result<Connection> {
        self.change(
            call,
            mutation,
            input,
            |change, input| Box::pin(share(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }

    /// Takes shares away. Exports stay and go on running.
    pub async fn unshare_connection(&self, call: &Call, mutation: Mutation, input: ShareChange) -> Result<Unshared> {
        self.change(
            call,
            mutation,
            input,
            |change, input| Box::pin(unshare(change, input)),
            |change, effect| {
                Box::pin(async {
                    let connection = answer(change, effect).await?;
                    Ok(Unshared { connection, affected_export_count: effect.count })
                })
            },
        )
        .await
    }
}

async fn share(change: &Change<'_>, input: &ShareChange) -> Result<Effect> {
    change.require(Role::Admin)?;
    let before = lock(change, &input.id, LockMode::Update, &input.etag).await?;
    let mut after = before.clone();
    after.sharing.all_contributors |= input.all_contributors;
    after.sharing.members.extend(input.members.iter().cloned());
    check_member_count(after.sharing.members.len())?;
    if after != before {
        let added = after.sharing.members.difference(&before.sharing.members);
        store::connections::add_members(change.db, &before, added).await?;
        save(change, &before, &mut after).await?;
    }
    Ok(effect_of(&after))
}

async fn unshare(change: &Change<'_>, input: &ShareChange) -> Result<Effect> {
    change.require(Role::Admin)?;
    let before = lock(change, &input.id, LockMode::Update, &input.etag).await?;
    let mut after = before.clone();
    after.sharing.all_contributors &= !input.all_contributors;
    after.sharing.members.retain(|member| !input.members.contains(member));
    if after == before {
        return Ok(effect_of(&after));
    }
    let removed = before.sharing.members.difference(&after.sharing.members);
    store::connections::remove_members(change.db, &before, removed).await?;
    save(change, &before, &mut after).await?;
    Ok(Effect { count: after.attached_export_count, ..effect_of(&after) })
}

async fn save(change: &Change<'_>, before: &Connection, after: &mut Connection) -> Result<()> {
    touch(change, after);
    store::connections::update(change.db, after).await?;
    change.audit(&subject(after), changes::between(Some(before), Some(after)), None, "");
    Ok(())
}
