//! The schema: one dated file per migration. A migration that was released is never edited.

use sea_orm_migration::prelude::*;

mod column;
mod m20261124_000001_connections;
mod m20261124_000002_exports;
mod m20261124_000003_request_ids;
mod m20261124_000004_audit_events;
mod m20261124_000005_sealed_secrets;
mod m20261126_000006_denied_events_by_time;
mod m20261126_000007_runs;
mod m20261126_000008_delivery_details;
mod m20261126_000009_runs_in_order;
mod m20261126_000010_run_indexes;
mod m20261127_000011_run_formats;
mod m20261127_000012_credentials_by_key;
mod m20261127_000013_audit_feed;
mod m20261127_000014_shared_connections;
mod m20261127_000015_due_by_connection;
mod m20261127_000016_export_owners;
mod m20261127_000017_connections_by_type;

use column::{run_state_is, text};

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_connections::Migration),
            Box::new(m20261124_000002_exports::Migration),
            Box::new(m20261124_000003_request_ids::Migration),
            Box::new(m20261124_000004_audit_events::Migration),
            Box::new(m20261124_000005_sealed_secrets::Migration),
            Box::new(m20261126_000006_denied_events_by_time::Migration),
            Box::new(m20261126_000007_runs::Migration),
            Box::new(m20261126_000008_delivery_details::Migration),
            Box::new(m20261126_000009_runs_in_order::Migration),
            Box::new(m20261126_000010_run_indexes::Migration),
            Box::new(m20261127_000011_run_formats::Migration),
            Box::new(m20261127_000012_credentials_by_key::Migration),
            Box::new(m20261127_000013_audit_feed::Migration),
            Box::new(m20261127_000014_shared_connections::Migration),
            Box::new(m20261127_000015_due_by_connection::Migration),
            Box::new(m20261127_000016_export_owners::Migration),
            Box::new(m20261127_000017_connections_by_type::Migration),
        ]
    }
}
