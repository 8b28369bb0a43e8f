//! Runs of exports, and what the scheduler keeps with an export.

use sea_orm_migration::prelude::*;

use super::{run_state_is, text};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(Clone, Copy, DeriveIden)]
enum Exports {
    Table,
    ConnectionUid,
    NextDueTime,
    ConsecutiveFailures,
    SchedulePauseTime,
}

#[derive(Clone, Copy, DeriveIden)]
enum Runs {
    Table,
    Organization,
    Uid,
    ExportUid,
    ExportDisplayName,
    ConnectionUid,
    ConnectionId,
    ConnectionType,
    State,
    Trigger,
    SkipReason,
    DueCount,
    Principal,
    ScheduleTime,
    LastScheduleTime,
    CreateTime,
    StartTime,
    EndTime,
    ExportRevision,
    Attempt,
    Failures,
    Releases,
    NextAttemptTime,
    LeaseOwner,
    LeaseExpireTime,
    RowsRead,
    RowsWritten,
    BytesWritten,
    Files,
    RowsEstimated,
    FailureCode,
    FailureDetail,
    DeliveryState,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        exports(manager).await?;
        runs(manager).await?;
        unique_indexes(manager).await?;
        indexes(manager).await
    }
}

async fn exports(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let failures = ColumnDef::new(Exports::ConsecutiveFailures).integer().not_null().default(0).take();
    let pause = ColumnDef::new(Exports::SchedulePauseTime).timestamp_with_time_zone().take();
    for column in [failures, pause] {
        manager.alter_table(Table::alter().table(Exports::Table).add_column(column).take()).await?;
    }
    let attached = Expr::col(Exports::ConnectionUid).is_not_null();
    let due = Index::create()
        .name("exports_due")
        .table(Exports::Table)
        .col(Exports::NextDueTime)
        .and_where(Expr::col(Exports::NextDueTime).is_not_null().and(attached))
        .take();
    manager.create_index(due).await
}

async fn runs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let time = |column| ColumnDef::new(column).timestamp_with_time_zone().take();
    let count = |column| ColumnDef::new(column).big_integer().not_null().default(0).take();
    // No foreign keys: the history of runs outlives exports and connections.
    let table = Table::create()
        .table(Runs::Table)
        .col(text(manager, Runs::Organization).not_null())
        .col(ColumnDef::new(Runs::Uid).uuid().not_null())
        .col(ColumnDef::new(Runs::ExportUid).uuid().not_null())
        .col(text(manager, Runs::ExportDisplayName).not_null())
        .col(ColumnDef::new(Runs::ConnectionUid).uuid().not_null())
        .col(text(manager, Runs::ConnectionId).not_null())
        .col(text(manager, Runs::ConnectionType).not_null())
        .col(text(manager, Runs::State).not_null())
        .col(text(manager, Runs::Trigger).not_null())
        .col(text(manager, Runs::SkipReason))
        .col(count(Runs::DueCount))
        .col(text(manager, Runs::Principal).not_null())
        .col(time(Runs::ScheduleTime))
        .col(time(Runs::LastScheduleTime))
        .col(time(Runs::CreateTime).not_null())
        .col(time(Runs::StartTime))
        .col(time(Runs::EndTime))
        .col(count(Runs::ExportRevision))
        .col(count(Runs::Attempt))
        .col(count(Runs::Failures))
        .col(count(Runs::Releases))
        .col(time(Runs::NextAttemptTime))
        .col(ColumnDef::new(Runs::LeaseOwner).uuid())
        .col(time(Runs::LeaseExpireTime))
        .col(count(Runs::RowsRead))
        .col(count(Runs::RowsWritten))
        .col(count(Runs::BytesWritten))
        .col(count(Runs::Files))
        .col(ColumnDef::new(Runs::RowsEstimated).big_integer())
        .col(text(manager, Runs::FailureCode))
        .col(text(manager, Runs::FailureDetail))
        .col(text(manager, Runs::DeliveryState))
        .primary_key(Index::create().col(Runs::Organization).col(Runs::Uid))
        .check(Expr::col(Runs::State).is_in([
            "QUEUED",
            "RUNNING",
            "SUCCEEDED",
            "FAILED",
            "CANCELLING",
            "CANCELLED",
            "SKIPPED",
        ]))
        .check(leased().eq(Expr::col(Runs::LeaseExpireTime).is_not_null()))
        .check(finished().eq(Expr::col(Runs::EndTime).is_not_null()))
        .take();
    manager.create_table(table).await
}

/// One due time is one run, and an export has at most one run that waits for its first attempt, and one that was started
/// and is unfinished.
async fn unique_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let unique = |name: &str| index(name, [Runs::ExportUid]).unique().take();
    let due_time = index("runs_schedule_time", [Runs::ExportUid, Runs::ScheduleTime]).unique().take();
    manager.create_index(due_time).await?;
    let waiting = queued().and(Expr::col(Runs::Attempt).eq(SimpleExpr::Constant(0.into())));
    manager.create_index(unique("runs_waiting").and_where(waiting).take()).await?;
    let again = queued().and(Expr::col(Runs::Attempt).gt(SimpleExpr::Constant(0.into())));
    manager.create_index(unique("runs_started").and_where(leased().or(again)).take()).await
}

async fn indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let queue = index("runs_queue", [Runs::NextAttemptTime]).and_where(queued()).take();
    manager.create_index(queue).await?;
    let on_connection = index("runs_on_connection", [Runs::ConnectionUid]).and_where(leased()).take();
    manager.create_index(on_connection).await?;
    for (name, columns) in [
        ("runs_export", [Runs::ExportUid, Runs::Uid]),
        ("runs_connection", [Runs::ConnectionId, Runs::Uid]),
        ("runs_state", [Runs::State, Runs::Uid]),
        ("runs_trigger", [Runs::Trigger, Runs::Uid]),
    ] {
        manager.create_index(index(name, columns)).await?;
    }
    let remains = Expr::col(Runs::DeliveryState).is_not_null().and(Expr::col(Runs::EndTime).is_not_null());
    for (name, column, condition) in [
        ("runs_leases", Runs::LeaseExpireTime, leased()),
        ("runs_end_time", Runs::EndTime, finished()),
        ("runs_remains", Runs::EndTime, remains),
    ] {
        let index = Index::create().name(name).table(Runs::Table).col(column).and_where(condition).take();
        manager.create_index(index).await?;
    }
    Ok(())
}

/// An index of an organization's runs.
fn index(name: &str, columns: impl IntoIterator<Item = Runs>) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(Runs::Table).col(Runs::Organization);
    for column in columns {
        index.col(column);
    }
    index
}

fn queued() -> SimpleExpr {
    run_state_is(&["QUEUED"])
}

fn leased() -> SimpleExpr {
    run_state_is(&["RUNNING", "CANCELLING"])
}

fn finished() -> SimpleExpr {
    run_state_is(&["SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"])
}
