//! What the audit log records of a connection; never the values of its credential.

use serde_json::{Value, json};

use crate::model::audit::{AuditDiff, AuditResource};
use crate::model::{Connection, Member};

/// The differences between two states of a connection. `before` is `None` for a creation, `after` for a deletion.
pub fn diff(before: Option<&Connection>, after: Option<&Connection>) -> AuditDiff {
    AuditDiff::new()
        .compare("display_name", before, after, |found| json!(found.display_name))
        .compare("description", before, after, |found| json!(found.description))
        .compare("connection_type", before, after, |found| json!(found.connection_type.name()))
        .compare("properties", before, after, |found| json!(found.properties))
        .compare("sharing", before, after, sharing)
        .compare("suspended", before, after, |found| json!(found.suspended))
        .compare("suspend_reason", before, after, |found| json!(found.suspend_reason))
        .compare("labels", before, after, |found| json!(found.labels))
}

/// The connection as the subject of an audit event.
pub fn resource(connection: &Connection) -> AuditResource {
    AuditResource {
        uid: connection.uid.0,
        name: connection.name.to_string(),
        display_name: connection.display_name.clone(),
    }
}

fn sharing(connection: &Connection) -> Value {
    let sharing = &connection.sharing;
    if sharing.is_empty() {
        return Value::Null;
    }
    let members: Vec<_> = sharing.members.iter().map(Member::as_str).collect();
    json!({ "all_contributors": sharing.all_contributors, "members": members })
}
