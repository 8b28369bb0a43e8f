//! The bare server with SeaORM: its pools, its statements with their values, its rows.

use outflow::grpc::proto as pb;
use outflow::model::Cursor;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait as _, Value,
};
use serde_json::json;
use uuid::Uuid;

use super::rows::{NewExport, Row as _, connection, export, page};
use super::statements::Statements;
use super::{Bare, Page, id, sqlx};
use crate::support::{Backend, TestServer};

/// Two pools, for reads and for writes, as in the service.
pub struct SeaOrm {
    read: DatabaseConnection,
    write: DatabaseConnection,
    statements: Statements,
}

impl SeaOrm {
    pub fn open(server: &TestServer) -> Self {
        let (read, write) = match server.backend {
            Backend::Sqlite => {
                let (read, write) = sqlx::sqlite(server);
                (read.into(), write.into())
            }
            Backend::Postgres => {
                let (read, write) = sqlx::postgres(server);
                (read.into(), write.into())
            }
        };
        Self { read, write, statements: Statements::new(server.backend) }
    }

    fn with<const N: usize>(&self, sql: &str, values: [Value; N]) -> Statement {
        Statement::from_sql_and_values(self.read.get_database_backend(), sql, values)
    }
}

impl Bare for SeaOrm {
    async fn get(&self, id: &str) -> pb::Connection {
        let statement = self.with(self.statements.get_by_id, [id.into()]);
        connection(&self.read.query_one_raw(statement).await.expect("queried").expect("a row"))
    }

    async fn create(&self, request: pb::CreateExportRequest) -> pb::Export {
        let new = NewExport::of(&request);
        let name = request.export.expect("an export").connection;
        let own = format!("{}/exports/{}", request.parent, new.id);
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let db = self.write.begin_with_options(options).await.expect("a transaction");
        let one = async |sql: &str, value: Value| {
            db.query_one_raw(self.with(sql, [value])).await.expect("queried").expect("a row")
        };
        let target = one(self.statements.find_usable, id(&name).into()).await.uid("uid");
        one(self.statements.lock, target.into()).await;
        assert!(!connection(&one(self.statements.get_usable, target.into()).await).name.is_empty());
        let revision = one(self.statements.reserve_revision, target.into()).await.number("attachment_revision");
        let values = [
            new.uid.into(),
            new.id.clone().into(),
            new.display_name.clone().into(),
            new.display_name.to_lowercase().into(),
            target.into(),
            revision.into(),
            new.payload.clone().into(),
            new.settings.clone().into(),
            json!({}).into(),
            new.time.into(),
        ];
        db.execute_raw(self.with(self.statements.insert_export, values)).await.expect("inserted");
        let values = [
            Uuid::now_v7().into(),
            new.time.into(),
            json!(["CONTRIBUTOR"]).into(),
            own.into(),
            new.uid.into(),
            new.display_name.clone().into(),
            json!(["display_name", "connection", "payload", "destination_settings"]).into(),
            json!({}).into(),
            new.after(&name).into(),
            Uuid::new_v4().to_string().into(),
        ];
        db.execute_raw(self.with(self.statements.insert_event, values)).await.expect("inserted");
        let export = export(&one(self.statements.read_export, new.uid.into()).await);
        db.commit().await.expect("committed");
        export
    }

    async fn find_uid(&self, id: &str) -> Uuid {
        let statement = self.with(self.statements.find_uid, [id.into()]);
        self.read.query_one_raw(statement).await.expect("queried").expect("a row").uid("uid")
    }

    async fn page(&self, cursor: Cursor) -> Page {
        let statement = self.with(self.statements.page, [cursor.connection.0.into(), cursor.last_revision.into()]);
        page(&self.read.query_all_raw(statement).await.expect("a page"), cursor)
    }
}
