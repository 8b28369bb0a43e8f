//! Rotate and revoke a credential, suspend and resume a connection: what decides whether its exports can run.

use super::{Connection, answer, changes, effect_of, known_type, lock, subject, touch};
use crate::app::change::{Change, Effect};
use crate::app::{App, CredentialInput, credential};
use crate::model::audit::Changes;
use crate::model::{Call, Mutation, ResourceId, Result, Role, Violations};
use crate::store;
use crate::store::locks::LockMode;

struct Rotate {
    id: ResourceId,
    etag: String,
    credential: CredentialInput,
}

struct Target {
    id: ResourceId,
    etag: String,
}

struct Suspend {
    target: Target,
    reason: String,
}

impl App {
    /// Stores a new credential in place of the present one.
    pub async fn rotate_connection_credential(
        &self,
        call: &Call,
        mutation: Mutation,
        id: ResourceId,
        etag: String,
        credential: CredentialInput,
    ) -> Result<Connection> {
        self.change(
            call,
            mutation,
            Rotate { id, etag, credential },
            |change, input| Box::pin(rotate(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }

    /// Erases the credential. Exports on the connection are blocked, not detached.
    pub async fn revoke_connection_credential(
        &self,
        call: &Call,
        mutation: Mutation,
        id: ResourceId,
        etag: String,
    ) -> Result<Connection> {
        self.change(
            call,
            mutation,
            Target { id, etag },
            |change, input| Box::pin(revoke(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }

    /// Stops all exports of a connection without touching their own switches.
    pub async fn suspend_connection(
        &self,
        call: &Call,
        mutation: Mutation,
        id: ResourceId,
        etag: String,
        reason: String,
    ) -> Result<Connection> {
        self.change(
            call,
            mutation,
            Suspend { target: Target { id, etag }, reason },
            |change, input| Box::pin(set_suspended(change, &input.target, true, &input.reason)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }

    /// Ends a suspension.
    pub async fn resume_connection(
        &self,
        call: &Call,
        mutation: Mutation,
        id: ResourceId,
        etag: String,
    ) -> Result<Connection> {
        self.change(
            call,
            mutation,
            Target { id, etag },
            |change, input| Box::pin(set_suspended(change, input, false, "")),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }
}

async fn rotate(change: &Change<'_>, input: &Rotate) -> Result<Effect> {
    change.require(Role::Admin)?;
    let mut connection = lock(change, &input.id, LockMode::Update, &input.etag).await?;
    let connection_type = known_type(change.app, "name", &connection.connection_type)?;
    let mut violations = Violations::new();
    credential::check(&mut violations, connection_type, Some(&input.credential), change.now);
    violations.into_result()?;
    touch(change, &mut connection);
    store::connections::update(change.db, &connection).await?;
    credential::store(change, connection_type, &mut connection, &input.credential).await?;
    change.audit(&subject(&connection), Changes::new().hidden("credential"), None, "");
    Ok(effect_of(&connection))
}

async fn revoke(change: &Change<'_>, input: &Target) -> Result<Effect> {
    change.require(Role::Admin)?;
    let mut connection = lock(change, &input.id, LockMode::Update, &input.etag).await?;
    if connection.credential.auth_method.is_some() {
        touch(change, &mut connection);
        store::connections::update(change.db, &connection).await?;
        credential::erase(change, &mut connection).await?;
        change.audit(&subject(&connection), Changes::new().hidden("credential"), None, "");
    }
    Ok(effect_of(&connection))
}

async fn set_suspended(change: &Change<'_>, input: &Target, suspended: bool, reason: &str) -> Result<Effect> {
    change.require(Role::Admin)?;
    let before = lock(change, &input.id, LockMode::Update, &input.etag).await?;
    let mut after = before.clone();
    after.suspended = suspended;
    reason.clone_into(&mut after.suspend_reason);
    if after != before {
        touch(change, &mut after);
        store::connections::update(change.db, &after).await?;
        change.audit(&subject(&after), changes::between(Some(&before), Some(&after)), None, reason);
    }
    Ok(effect_of(&after))
}
