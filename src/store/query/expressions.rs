//! SQL expressions shared by SELECT lists and filters.

use std::time::Duration;

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, LikeExpr, Query, SimpleExpr};
use sea_orm::{DbBackend, EntityTrait, IdenStatic as _};

use super::scope::ReadContext;
use crate::model::{Actor, Availability, Caller, ConnectionState, Role};
use crate::store::entities::{connection, connection_member};

impl Availability {
    fn code(self) -> i32 {
        match self {
            Self::Active => 0,
            Self::Suspended => 1,
            Self::CredentialMissing => 2,
            Self::CredentialExpired => 3,
            Self::TypeUnknown => 4,
        }
    }

    pub(in crate::store) fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|availability| availability.code() == code)
    }
}

/// The database's time plus the clock's offset, for decisions about expiry and retention.
pub fn now(backend: DbBackend, read_context: &ReadContext) -> SimpleExpr {
    now_plus(backend, read_context, Duration::ZERO)
}

/// That time plus a duration.
pub fn now_plus(backend: DbBackend, read_context: &ReadContext, duration: Duration) -> SimpleExpr {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let offset_ms = read_context.clock.offset_ms().saturating_add(millis);
    if backend == DbBackend::Postgres {
        return Expr::cust_with_values("(statement_timestamp() + $1 * interval '1 millisecond')", [offset_ms]);
    }
    // The stored format of times; texts in it compare in the order of time.
    Expr::cust_with_values("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', (? / 1000.0) || ' seconds')", [offset_ms])
}

/// Whether exports on a connection can run and, if not, why, as the code of an [`Availability`].
pub fn availability(backend: DbBackend, read_context: &ReadContext) -> SimpleExpr {
    let offset_ms = read_context.clock.offset_ms();
    let now = if backend == DbBackend::Postgres {
        format!("(statement_timestamp() + {offset_ms} * interval '1 millisecond')")
    } else {
        format!("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', ({offset_ms} / 1000.0) || ' seconds')")
    };
    Expr::cust(read_context.availability.replace(NOW, &now))
}

/// The text in [`availability_sql`] that stands for the time.
const NOW: &str = "{now}";

/// The SQL of [`availability`]. It is built once, because it is part of nearly every statement.
pub fn availability_sql(backend: DbBackend, known_types: &[String]) -> String {
    use connection::Column::{ConnectionType, CredentialAuthMethod, CredentialExpireTime, NeedsCredential, Suspended};
    let column = |column| Expr::col((connection::Entity, column));
    let code = |availability: Availability| SimpleExpr::Constant(availability.code().into());
    let known = known_types.iter().map(|id| SimpleExpr::Constant(id.as_str().into()));
    let case = CaseStatement::new()
        .case(column(Suspended), code(Availability::Suspended))
        .case(column(ConnectionType).is_not_in(known), code(Availability::TypeUnknown))
        .case(
            column(NeedsCredential).and(column(CredentialAuthMethod).is_null()),
            code(Availability::CredentialMissing),
        )
        .case(
            column(NeedsCredential).and(column(CredentialExpireTime).lte(Expr::cust(NOW))),
            code(Availability::CredentialExpired),
        )
        .finally(code(Availability::Active));
    let select = backend.build(Query::select().expr(case)).sql;
    select.trim_start_matches("SELECT ").to_owned()
}

/// Columns of a table as the list of a SELECT, which is built once.
pub fn column_list<E: EntityTrait>(columns: impl IntoIterator<Item = E::Column>) -> String {
    let table = E::default().table_name().to_owned();
    let columns = columns.into_iter().map(|column| format!("{table}.{}", column.as_str()));
    columns.collect::<Vec<_>>().join(", ")
}

/// Whether an availability belongs to a `state`.
pub fn in_state(availability: SimpleExpr, state: ConnectionState) -> SimpleExpr {
    availability.is_in(
        Availability::ALL.into_iter().filter(|availability| availability.state() == state).map(Availability::code),
    )
}

/// The caller, if it may use only connections that are shared.
pub fn limited_to_shared(actor: &Actor) -> Option<&Caller> {
    match actor {
        Actor::Caller(caller) if !caller.has(Role::Admin) => Some(caller),
        Actor::Caller(_) | Actor::System(_) => None,
    }
}

/// The members that identify a caller, as columns hold them.
pub fn member_texts(caller: &Caller) -> Vec<String> {
    caller.members().iter().map(|member| member.as_str().to_owned()).collect()
}

/// Whether the actor may use a connection: an administrator every one; others those shared with all contributors, with
/// themselves or with one of their groups.
pub fn usable(actor: &Actor) -> SimpleExpr {
    use connection_member::Column::{ConnectionUid, Member, Organization};
    let Some(caller) = limited_to_shared(actor) else { return Expr::val(true) };
    let member = |column| Expr::col((connection_member::Entity, column));
    let shared = Query::select()
        .expr(Expr::val(1))
        .from(connection_member::Entity)
        .and_where(member(Organization).equals((connection::Entity, connection::Column::Organization)))
        .and_where(member(ConnectionUid).equals((connection::Entity, connection::Column::Uid)))
        .and_where(member(Member).is_in(member_texts(caller)))
        // Without an offset, PostgreSQL may look all members up at once, which can be many more than the connections.
        .limit(1)
        .offset(0)
        .take();
    Expr::col((connection::Entity, connection::Column::SharedWithAll)).or(Expr::exists(shared))
}

/// The members of a connection, one per line; members contain no control characters.
pub fn members() -> SimpleExpr {
    Expr::cust(
        "(SELECT string_agg(m.member, '\n' ORDER BY m.member) FROM connection_members m \
         WHERE m.organization = connections.organization AND m.connection_uid = connections.uid)",
    )
}

/// A case-insensitive substring match: the column is in lower case, and wildcards of LIKE are escaped.
pub fn contains(column: Expr, search: &str) -> SimpleExpr {
    let mut pattern = String::from("%");
    for character in search.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    column.like(LikeExpr::new(pattern).escape('\\'))
}
