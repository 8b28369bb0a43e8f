//! The position of audit events in the feed, which is in the order of commits.
//!
//! On PostgreSQL it is the number of the transaction below an epoch: a snapshot tells which transactions can still commit, so
//! that nothing appears behind a reader. The epoch is raised when a dump continues in a cluster with smaller numbers. SQLite
//! has one writer, and a counter. An event whose count of denied attempts rises moves to the end.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(Clone, Copy, DeriveIden)]
enum AuditEvents {
    Table,
    Organization,
    FeedPosition,
    Uid,
}

const POSTGRES: &str = "
    CREATE TABLE audit_feed (epoch bigint NOT NULL);
    INSERT INTO audit_feed VALUES (0);
    CREATE FUNCTION audit_feed_position() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.feed_position := (SELECT epoch << 48 FROM audit_feed) + pg_current_xact_id()::text::bigint;
        RETURN NEW;
    END $$;
    CREATE FUNCTION audit_feed_end() RETURNS bigint LANGUAGE sql STABLE AS
        'SELECT (epoch << 48) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM audit_feed';
    CREATE TRIGGER audit_feed_position BEFORE INSERT OR UPDATE OF count ON audit_events
        FOR EACH ROW EXECUTE FUNCTION audit_feed_position();
";

const SQLITE: &str = "
    CREATE TABLE audit_feed (position integer NOT NULL);
    INSERT INTO audit_feed VALUES (0);
    CREATE TRIGGER audit_feed_insert AFTER INSERT ON audit_events BEGIN
        UPDATE audit_feed SET position = position + 1;
        UPDATE audit_events SET feed_position = (SELECT position FROM audit_feed)
            WHERE organization = NEW.organization AND uid = NEW.uid;
    END;
    CREATE TRIGGER audit_feed_update AFTER UPDATE OF count ON audit_events BEGIN
        UPDATE audit_feed SET position = position + 1;
        UPDATE audit_events SET feed_position = (SELECT position FROM audit_feed)
            WHERE organization = NEW.organization AND uid = NEW.uid;
    END;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let position = ColumnDef::new(AuditEvents::FeedPosition).big_integer().not_null().default(0).take();
        manager.alter_table(Table::alter().table(AuditEvents::Table).add_column(position).take()).await?;
        let of_organization = Index::create()
            .name("audit_events_feed")
            .table(AuditEvents::Table)
            .col(AuditEvents::Organization)
            .col(AuditEvents::FeedPosition)
            .col(AuditEvents::Uid)
            .take();
        manager.create_index(of_organization).await?;
        // The largest position of all, for the epoch.
        let largest = Index::create()
            .name("audit_events_feed_position")
            .table(AuditEvents::Table)
            .col(AuditEvents::FeedPosition)
            .take();
        let db = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.create_index(largest).await?;
            db.execute_unprepared(POSTGRES).await?;
        } else {
            db.execute_unprepared(SQLITE).await?;
        }
        Ok(())
    }
}
