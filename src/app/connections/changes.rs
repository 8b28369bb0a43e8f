//! What of a connection goes to the audit log; never what its credential holds.

use serde_json::{Value, json};

use crate::model::audit::Changes;
use crate::model::{Connection, Member};

/// What differs between two states of a connection: one that is new was nothing before, one that goes is nothing after.
pub(super) fn between(before: Option<&Connection>, after: Option<&Connection>) -> Changes {
    Changes::new()
        .of("display_name", before, after, |found| json!(found.display_name))
        .of("description", before, after, |found| json!(found.description))
        .of("connection_type", before, after, |found| json!(found.connection_type.name()))
        .of("properties", before, after, |found| json!(found.properties))
        .of("sharing", before, after, sharing)
        .of("suspended", before, after, |found| json!(found.suspended))
        .of("suspend_reason", before, after, |found| json!(found.suspend_reason))
        .of("labels", before, after, |found| json!(found.labels))
}

fn sharing(connection: &Connection) -> Value {
    let sharing = &connection.sharing;
    if sharing.is_nobody() {
        return Value::Null;
    }
    let members: Vec<_> = sharing.members.iter().map(Member::as_str).collect();
    json!({ "all_contributors": sharing.all_contributors, "members": members })
}
