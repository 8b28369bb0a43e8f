//! What the audit log records of a connection; never the values of its credential.

use serde_json::{Value, json};

use crate::model::audit::{AuditDiff, AuditResource};
use crate::model::{Connection, Member, Sharing};

/// The differences between two states of a connection. `before` is `None` for a creation, `after` for a deletion.
pub fn diff(before: Option<&Connection>, after: Option<&Connection>) -> AuditDiff {
    AuditDiff::new()
        .compare("display_name", before, after, |found| &found.display_name, |name| json!(name))
        .compare("description", before, after, |found| &found.description, |description| json!(description))
        .compare("connection_type", before, after, |found| &found.connection_type, |id| json!(id.name()))
        .compare("properties", before, after, |found| &found.properties, |properties| json!(properties))
        .compare("sharing", before, after, |found| &found.sharing, sharing)
        .compare("suspended", before, after, |found| &found.suspended, |suspended| json!(suspended))
        .compare("suspend_reason", before, after, |found| &found.suspend_reason, |reason| json!(reason))
        .compare("labels", before, after, |found| &found.labels, |labels| json!(labels))
}

/// The connection as the subject of an audit event.
pub fn resource(connection: &Connection) -> AuditResource {
    AuditResource {
        uid: connection.uid.0,
        name: connection.name.to_string(),
        display_name: connection.display_name.clone(),
    }
}

fn sharing(sharing: &Sharing) -> Value {
    if sharing.is_empty() {
        return Value::Null;
    }
    let members: Vec<_> = sharing.members.iter().map(Member::as_str).collect();
    json!({ "all_contributors": sharing.all_contributors, "members": members })
}
