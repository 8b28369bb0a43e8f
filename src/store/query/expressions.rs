//! SQL that says what a row means: one expression each, in reads and filters alike.

use sea_orm::DbBackend;
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, LikeExpr, Query, SimpleExpr};

use super::scope::ReadContext;
use crate::model::{Actor, Availability, ConnectionState, Role};
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

/// The database's time, moved by the clock's offset: what decides about expiry and retention.
pub fn now(backend: DbBackend, read_context: &ReadContext) -> SimpleExpr {
    let offset_ms = read_context.clock.offset_ms();
    if backend == DbBackend::Postgres {
        return Expr::cust_with_values("(statement_timestamp() + $1 * interval '1 millisecond')", [offset_ms]);
    }
    // The form in which times are stored, so that texts compare as times do.
    Expr::cust_with_values("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', (? / 1000.0) || ' seconds')", [offset_ms])
}

/// Whether exports on a connection can run, as the code of a [`Availability`].
pub fn availability(backend: DbBackend, read_context: &ReadContext) -> SimpleExpr {
    use connection::Column::{ConnectionType, CredentialAuthMethod, CredentialExpireTime, NeedsCredential, Suspended};
    // Written out and not bound: the same in every call, and a dozen values less for each to send.
    let column = |column| Expr::col((connection::Entity, column));
    let code = |availability: Availability| SimpleExpr::Constant(availability.code().into());
    let known = read_context.known_types.iter().map(|id| SimpleExpr::Constant(id.as_str().into()));
    CaseStatement::new()
        .case(column(Suspended), code(Availability::Suspended))
        .case(column(ConnectionType).is_not_in(known), code(Availability::TypeUnknown))
        .case(
            column(NeedsCredential).and(column(CredentialAuthMethod).is_null()),
            code(Availability::CredentialMissing),
        )
        .case(
            column(NeedsCredential).and(column(CredentialExpireTime).lte(now(backend, read_context))),
            code(Availability::CredentialExpired),
        )
        .finally(code(Availability::Active))
        .into()
}

/// Whether a availability is one that callers see as `state`.
pub fn in_state(availability: SimpleExpr, state: ConnectionState) -> SimpleExpr {
    availability.is_in(
        Availability::ALL.into_iter().filter(|availability| availability.state() == state).map(Availability::code),
    )
}

/// Whether the actor may use a connection: an administrator any; others those shared with all contributors, with
/// themselves, or with one of their groups.
pub fn usable(actor: &Actor) -> SimpleExpr {
    use connection_member::Column::{ConnectionUid, Member, Organization};
    let caller = match actor {
        Actor::Caller(caller) if !caller.has(Role::Admin) => caller,
        Actor::Caller(_) | Actor::System(_) => return Expr::val(true),
    };
    let member = |column| Expr::col((connection_member::Entity, column));
    let shared = Query::select()
        .expr(Expr::val(1))
        .from(connection_member::Entity)
        .and_where(member(Organization).equals((connection::Entity, connection::Column::Organization)))
        .and_where(member(ConnectionUid).equals((connection::Entity, connection::Column::Uid)))
        .and_where(member(Member).is_in(caller.members()))
        .take();
    Expr::col((connection::Entity, connection::Column::SharedWithAll)).or(Expr::exists(shared))
}

/// The members of a connection, each on a line of its own; none holds a control character.
pub fn members() -> SimpleExpr {
    Expr::cust(
        "(SELECT string_agg(m.member, '\n' ORDER BY m.member) FROM connection_members m \
         WHERE m.organization = connections.organization AND m.connection_uid = connections.uid)",
    )
}

/// Part of a text, whatever its case: the column holds it in lower case, and LIKE's own characters are escaped.
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
