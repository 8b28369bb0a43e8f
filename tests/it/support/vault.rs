//! Opens stored credentials with the properties of their connection, as a delivery would.

use outflow::grpc::proto as pb;
use outflow::model::CredentialSecret;
use outflow::vault::{KeyRing, SealContext, Vault, VaultError};
use serde_json::Value;
use uuid::Uuid;

use super::{Database, TestServer};

/// A sealed credential, as stored in the database.
pub struct StoredCredential {
    /// The properties in the row of the connection.
    pub properties: serde_json::Map<String, Value>,
    /// The revision that it was sealed under.
    pub revision: i64,
    /// The sealed bytes.
    pub envelope: Vec<u8>,
}

const QUERY: &str = "SELECT CAST(c.properties AS text), s.revision, s.envelope FROM connections c \
     JOIN credentials s ON s.organization = c.organization AND s.connection_uid = c.uid WHERE c.id = $1";

impl TestServer {
    /// Reads the stored credential of a connection.
    pub async fn stored_credential(&self, name: &str) -> StoredCredential {
        let id = name.rsplit('/').next().expect("a name");
        let row: Result<(String, i64, Vec<u8>), _> = match self.database().await {
            Database::Sqlite(pool) => sqlx::query_as(QUERY).bind(id).fetch_one(&pool).await,
            Database::Postgres(pool) => sqlx::query_as(QUERY).bind(id).fetch_one(&pool).await,
        };
        let (properties, revision, envelope) = row.expect("a credential is stored");
        let properties = serde_json::from_str(&properties).expect("an object");
        StoredCredential { properties, revision, envelope }
    }

    /// Opens a stored credential with the keys of this server, for a connection.
    pub fn open(&self, connection: &pb::Connection, stored: &StoredCredential) -> Result<CredentialSecret, VaultError> {
        let ring = KeyRing::from_directory(&self.data_dir.join("keys"), None).expect("the keys");
        let context = SealContext {
            organization: connection.name.split('/').nth(1).expect("a name"),
            connection_uid: Uuid::parse_str(&connection.uid).expect("a uid"),
            revision: u64::try_from(stored.revision).expect("a revision"),
        };
        Vault::new(ring).open(&context, &stored.properties, &stored.envelope)
    }

    /// Returns the password that a delivery over a connection would use.
    pub async fn stored_password(&self, connection: &pb::Connection) -> String {
        let stored = self.stored_credential(&connection.name).await;
        let secret = self.open(connection, &stored).expect("it opens with the properties of the connection");
        secret.fields["password"].expose().to_owned()
    }
}
