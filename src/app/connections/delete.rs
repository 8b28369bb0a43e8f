//! DeleteConnection: refused as long as one export is attached.

use super::{changes, lock, subject};
use crate::app::App;
use crate::app::change::{Change, Effect};
use crate::model::{Call, ConnectionName, Mutation, Precondition, Result, Role, limits};
use crate::store;
use crate::store::locks::LockMode;

struct Delete {
    name: ConnectionName,
    etag: String,
}

impl App {
    /// Removes a connection that no export uses, with its sharing and its secret.
    pub async fn delete_connection(
        &self,
        call: &Call,
        mutation: Mutation,
        name: ConnectionName,
        etag: String,
    ) -> Result<()> {
        self.change(
            call,
            mutation,
            Delete { name, etag },
            |change, input| Box::pin(delete(change, input)),
            |_, _| Box::pin(async { Ok(()) }),
        )
        .await
    }
}

async fn delete(change: &Change<'_>, input: &Delete) -> Result<Effect> {
    change.require(Role::Admin)?;
    let connection = lock(change, &input.name.id, LockMode::Delete, &input.etag).await?;
    if connection.attached_export_count > 0 {
        let first =
            store::attachments::first_blockers(change.db, change.scope, &connection, limits::BLOCKERS_NAMED).await?;
        return Err(Precondition::ConnectionInUse {
            connection: connection.name.to_string(),
            blocking_export_count: connection.attached_export_count,
            blocking_set_etag: connection.blocking_set_etag(),
            first,
        }
        .into());
    }
    store::credentials::erase_for_removal(change.db, change.scope, connection.uid).await?;
    store::connections::delete(change.db, change.scope, connection.uid).await?;
    let gone = changes::between(Some(&connection), None);
    let gone = if connection.credential.auth_method.is_some() { gone.hidden("credential") } else { gone };
    change.audit(&subject(&connection), gone, None, "");
    Ok(Effect::one(connection.uid.0, &connection.name))
}
