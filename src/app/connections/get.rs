//! Implements GetConnection.

use crate::app::App;
use crate::model::{Connection, ConnectionName, Error, OpContext, ResourceKind, Result};
use crate::store;

impl App {
    /// Gets a connection: everything but its credential.
    pub async fn get_connection(&self, context: &OpContext, name: &ConnectionName) -> Result<Connection> {
        let found = store::connections::find(&self.reader(context), &self.scope(context), &name.id).await?;
        found.ok_or_else(|| Error::NotFound(ResourceKind::Connection, name.to_string()))
    }
}
