//! The statements of the service, as logged by its database, with the parameters that never change written as literals.

use crate::support::Backend;

/// The size of a page.
pub const PAGE_SIZE: usize = 500;

const CONNECTION: &str = "connections.organization, connections.uid, connections.id, connections.display_name, \
    connections.display_name_search, connections.description, connections.connection_type, \
    connections.schema_version, connections.properties, connections.needs_credential, \
    connections.credential_auth_method, connections.credential_set_fields, connections.credential_revision, \
    connections.credential_set_time, connections.credential_expire_time, connections.shared_with_all, \
    connections.suspended, connections.suspend_reason, connections.attached_export_count, \
    connections.attachment_revision, connections.last_attached_revision, connections.labels, connections.creator, \
    connections.create_time, connections.updater, connections.update_time, connections.revision";

const MEMBERS: &str = "(SELECT string_agg(m.member, '\n' ORDER BY m.member) FROM connection_members m \
    WHERE m.organization = connections.organization AND m.connection_uid = connections.uid) AS members";

const EXPORT: &str = "exports.organization, exports.uid, exports.id, exports.display_name, \
    exports.display_name_search, exports.description, exports.connection_type, exports.connection_uid, \
    exports.attached_revision, exports.detached_connection_uid, exports.detached_connection_id, \
    exports.detached_connection_display_name, exports.detached_batch_id, exports.detached_principal, \
    exports.detached_time, exports.detached_reason, exports.payload, exports.schedule, \
    exports.destination_settings, exports.next_due_time, exports.labels, exports.creator, exports.create_time, \
    exports.updater, exports.update_time, exports.revision";

const USABLE: &str = "(connections.shared_with_all OR EXISTS (SELECT 1 FROM connection_members \
    WHERE connection_members.organization = connections.organization \
    AND connection_members.connection_uid = connections.uid AND connection_members.member IN ('user:ann')))";

/// The statements of one database.
pub struct Statements {
    pub get_by_id: &'static str,
    pub get_usable: &'static str,
    pub find_uid: &'static str,
    pub find_usable: &'static str,
    pub lock: &'static str,
    pub reserve_revision: &'static str,
    pub insert_export: &'static str,
    pub insert_event: &'static str,
    pub read_export: &'static str,
    pub page: &'static str,
}

/// Leaks a text, which is needed until the program ends.
fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl Statements {
    pub fn new(backend: Backend) -> Self {
        let now = match backend {
            Backend::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '0 seconds')",
            Backend::Postgres => "statement_timestamp()",
        };
        let condition = format!(
            "(CASE WHEN (connections.suspended) THEN 1 WHEN (connections.connection_type NOT IN ('azure_blob', \
             'dynamics_365_marketing', 'gcs', 'kafka', 'local_directory', 'postgresql', 's3', 'sftp', 'webhook')) \
             THEN 4 WHEN (connections.needs_credential AND connections.credential_auth_method IS NULL) THEN 2 \
             WHEN (connections.needs_credential AND connections.credential_expire_time <= {now}) THEN 3 ELSE 0 END) \
             AS condition"
        );
        let connection = format!("SELECT {CONNECTION}, {MEMBERS}, {condition} FROM connections");
        let lock = if backend == Backend::Postgres { " FOR NO KEY UPDATE" } else { "" };
        let columns = "entry_revision, entry_id, entry_display_name, entry_creator, entry_due_time, entry_uid, \
             entry_create_time, entry_schedule, entry_cause";
        Self {
            get_by_id: leak(format!("{connection} WHERE connections.organization = 'acme' AND connections.id = $1")),
            get_usable: leak(format!(
                "{connection} WHERE connections.organization = 'acme' AND connections.uid = $1 AND {USABLE}"
            )),
            find_uid: "SELECT uid FROM connections WHERE organization = 'acme' AND id = $1",
            find_usable: leak(format!(
                "SELECT uid FROM connections WHERE connections.organization = 'acme' AND connections.id = $1 \
                 AND {USABLE}"
            )),
            lock: leak(format!(
                "SELECT uid FROM connections WHERE organization = 'acme' AND uid IN ($1) ORDER BY uid{lock}"
            )),
            reserve_revision: leak(format!(
                "UPDATE connections SET attached_export_count = attached_export_count + 1, \
                 attachment_revision = attachment_revision + 1, last_attached_revision = attachment_revision + 1 \
                 WHERE organization = 'acme' AND uid = $1 RETURNING {CONNECTION}"
            )),
            insert_export: "INSERT INTO exports (organization, uid, id, display_name, display_name_search, \
                 description, connection_type, connection_uid, attached_revision, payload, schedule, \
                 destination_settings, next_due_time, labels, creator, create_time, updater, update_time, revision) \
                 VALUES ('acme', $1, $2, $3, $4, '', 'sftp', $5, $6, $7, NULL, $8, NULL, $9, 'ann', $10, 'ann', $10, 1)",
            insert_event: "INSERT INTO audit_events (organization, uid, time, principal, roles, method, resource, \
                 resource_uid, resource_display_name, changed_fields, before, after, count, call_id, reason) VALUES \
                 ('acme', $1, $2, 'ann', $3, 'outflow.v1.ExportService/CreateExport', $4, $5, $6, $7, $8, $9, 1, $10, '')",
            read_export: leak(format!(
                "SELECT {EXPORT}, connections.id AS connection_id, \
                 connections.display_name AS connection_display_name, {condition}, ((exports.connection_uid IS NULL \
                 AND exports.creator = 'ann') OR (NOT exports.connection_uid IS NULL AND {USABLE})) AS managed \
                 FROM exports LEFT JOIN connections ON exports.organization = connections.organization \
                 AND exports.connection_uid = connections.uid WHERE exports.organization = 'acme' \
                 AND exports.uid IN ($1)"
            )),
            page: leak(format!(
                "SELECT connections.attached_export_count AS snapshot_count, \
                 connections.attachment_revision AS snapshot_revision, {condition}, {now} AS snapshot_time, \
                 {columns} FROM connections LEFT JOIN (SELECT {columns} FROM (SELECT {columns} FROM (SELECT \
                 attached_revision AS entry_revision, id AS entry_id, display_name AS entry_display_name, \
                 creator AS entry_creator, next_due_time AS entry_due_time, uid AS entry_uid, \
                 create_time AS entry_create_time, schedule AS entry_schedule, CAST(NULL AS text) AS entry_cause \
                 FROM exports WHERE organization = 'acme' AND connection_uid = $1 AND attached_revision > $2 \
                 ORDER BY attached_revision ASC LIMIT {PAGE_SIZE}) AS b) AS u ORDER BY entry_revision ASC \
                 LIMIT {PAGE_SIZE}) AS p ON TRUE WHERE connections.organization = 'acme' AND connections.uid = $1 \
                 ORDER BY entry_revision ASC"
            )),
        }
    }
}
