//! The bare server with SeaORM: its pools, its statements with their values, its rows.

use outflow::grpc::proto as pb;
use outflow::model::{ConnectionUid, Cursor, Role};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, QueryResult, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _, Value,
};
use serde_json::json;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::changes::{Event, NewConnection, NewExport, rename, stored};
use super::rows::{Page, Row as _, connection, export, list, page, snapshot};
use super::statements::{
    FIND_ENVELOPE, FIND_UID, INSERT_CONNECTION, INSERT_EVENT, INSERT_EXPORT, PUT_CREDENTIAL, Statements, UPDATE_EXPORT,
};
use super::{Bare, id, sqlx};
use crate::support::Backend;

/// Two pools, for reads and for writes, as in the service.
pub struct SeaOrm {
    read: DatabaseConnection,
    write: DatabaseConnection,
    statements: Statements,
    /// The id of a key and an envelope, which new credentials get.
    envelope: OnceCell<(String, Vec<u8>)>,
}

impl SeaOrm {
    pub fn open(backend: Backend, url: &str, role: Role) -> Self {
        let (read, write) = match backend {
            Backend::Sqlite => {
                let (read, write) = sqlx::sqlite(url);
                (read.into(), write.into())
            }
            Backend::Postgres => {
                let (read, write) = sqlx::postgres(url);
                (read.into(), write.into())
            }
        };
        Self { read, write, statements: Statements::new(backend, role), envelope: OnceCell::new() }
    }

    fn with<const N: usize>(&self, sql: &str, values: [Value; N]) -> Statement {
        Statement::from_sql_and_values(self.read.get_database_backend(), sql, values)
    }

    async fn begin(&self) -> DatabaseTransaction {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.write.begin_with_options(options).await.expect("a transaction")
    }

    async fn one(&self, db: &impl ConnectionTrait, sql: &str, value: Value) -> QueryResult {
        db.query_one_raw(self.with(sql, [value])).await.expect("queried").expect("a row")
    }

    async fn execute<const N: usize>(&self, db: &impl ConnectionTrait, sql: &str, values: [Value; N]) {
        let result = db.execute_raw(self.with(sql, values)).await.expect("executed");
        assert_eq!(result.rows_affected(), 1);
    }

    async fn insert_event(&self, db: &impl ConnectionTrait, event: Event) {
        let caller = self.statements.caller;
        let values = [
            event.uid.into(),
            event.time.into(),
            caller.principal.into(),
            json!([caller.role]).into(),
            event.method.into(),
            event.resource.into(),
            event.resource_uid.into(),
            event.display_name.into(),
            json!(event.fields).into(),
            event.before.into(),
            event.after.into(),
            event.call_id.into(),
        ];
        self.execute(db, INSERT_EVENT, values).await;
    }

    async fn envelope(&self) -> (String, Vec<u8>) {
        let find = async || {
            let row = self.read.query_one_raw(self.with(FIND_ENVELOPE, [])).await.expect("queried");
            let row = row.expect("a connection with a credential");
            (row.value(0), row.value(1))
        };
        self.envelope.get_or_init(find).await.clone()
    }
}

impl Bare for SeaOrm {
    async fn get(&self, id: &str) -> pb::Connection {
        connection(&self.one(&self.read, self.statements.get_by_id, id.into()).await).0
    }

    async fn list(&self) -> pb::ListConnectionsResponse {
        list(&self.read.query_all_raw(self.with(self.statements.list, [])).await.expect("a page"))
    }

    async fn create_connection(&self, request: pb::CreateConnectionRequest) -> pb::Connection {
        let new = NewConnection::of(request);
        let (key_id, envelope) = self.envelope().await;
        let db = self.begin().await;
        let values = [
            new.uid.into(),
            new.id.clone().into(),
            new.display_name.clone().into(),
            new.display_name.to_lowercase().into(),
            new.properties.clone().into(),
            json!(["password"]).into(),
            new.time.into(),
            json!({}).into(),
            self.statements.caller.principal.into(),
        ];
        self.execute(&db, INSERT_CONNECTION, values).await;
        self.execute(&db, PUT_CREDENTIAL, [new.uid.into(), key_id.into(), envelope.into()]).await;
        self.insert_event(&db, new.event()).await;
        db.commit().await.expect("committed");
        new.into_message(self.statements.caller)
    }

    async fn create_export(&self, request: pb::CreateExportRequest) -> pb::Export {
        let new = NewExport::of(request);
        let caller = self.statements.caller;
        let db = self.begin().await;
        let target: Uuid = self.one(&db, self.statements.lock_usable, id(&new.connection).into()).await.value(0);
        let (reserved, revision) = connection(&self.one(&db, self.statements.reserve_usable, target.into()).await);
        assert_eq!(reserved.name, new.connection);
        let values = [
            new.uid.into(),
            new.id.clone().into(),
            new.display_name.clone().into(),
            new.display_name.to_lowercase().into(),
            target.into(),
            revision.into(),
            stored(&new.payload).into(),
            new.schedule.as_ref().map(stored).into(),
            new.settings.clone().into(),
            new.next_due_time.into(),
            json!({}).into(),
            caller.principal.into(),
            new.time.into(),
            caller.member.into(),
        ];
        self.execute(&db, INSERT_EXPORT, values).await;
        self.insert_event(&db, new.event(caller)).await;
        db.commit().await.expect("committed");
        new.into_export(reserved, caller).into_message()
    }

    async fn update_export(&self, request: pb::UpdateExportRequest) -> pb::Export {
        let given = request.export.expect("an export");
        let caller = self.statements.caller;
        let db = self.begin().await;
        let uid: Uuid = self.one(&db, self.statements.lock_export, id(&given.name).into()).await.value(0);
        let mut changed = export(&self.one(&db, self.statements.read_export, uid.into()).await);
        let event = rename(&mut changed, given.display_name);
        let values = [
            changed.display_name.clone().into(),
            changed.display_name.to_lowercase().into(),
            changed.description.clone().into(),
            stored(&changed.payload).into(),
            changed.schedule.as_ref().map(stored).into(),
            stored(&changed.settings).into(),
            changed.next_due_time.into(),
            stored(&changed.labels).into(),
            caller.principal.into(),
            event.time.into(),
            changed.revision.into(),
            changed.file_name.clone().into(),
            changed.owner.clone().into(),
            uid.into(),
        ];
        self.execute(&db, UPDATE_EXPORT, values).await;
        self.insert_event(&db, event).await;
        db.commit().await.expect("committed");
        changed.into_message()
    }

    async fn start(&self, id: &str) -> Cursor {
        let uid: Uuid = self.one(&self.read, FIND_UID, id.into()).await.value(0);
        let snapshot = snapshot(&self.one(&self.read, self.statements.snapshot, uid.into()).await);
        super::start(ConnectionUid(uid), snapshot)
    }

    async fn page(&self, cursor: Cursor) -> Page {
        let statement = self.with(self.statements.page, [cursor.connection.0.into(), cursor.last_revision.into()]);
        page(&self.read.query_all_raw(statement).await.expect("a page"), cursor)
    }
}
