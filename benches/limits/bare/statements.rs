//! The statements of the service, as logged by its database, with the parameters that never change written as literals.

use outflow::model::Role;

use crate::support::Backend;

/// The size of a page of the stream.
pub const STREAM_PAGE_SIZE: usize = 500;
/// The size of a page of a list.
pub const LIST_PAGE_SIZE: usize = 50;

const CONNECTION: &str = "connections.id, connections.uid, connections.display_name, connections.description, \
    connections.connection_type, connections.schema_version, connections.properties, connections.needs_credential, \
    connections.credential_auth_method, connections.credential_set_fields, connections.credential_revision, \
    connections.credential_set_time, connections.credential_expire_time, connections.shared_with_all, \
    connections.suspended, connections.suspend_reason, connections.attached_export_count, \
    connections.attachment_revision, connections.last_attached_revision, connections.labels, connections.creator, \
    connections.create_time, connections.updater, connections.update_time, connections.revision, connections.last_test";

const MEMBERS: &str = "(SELECT string_agg(m.member, '\n' ORDER BY m.member) FROM connection_members m \
    WHERE m.organization = connections.organization AND m.connection_uid = connections.uid)";

const EXPORT: &str = "exports.connection_uid, exports.attached_revision, exports.detached_connection_uid, \
    exports.detached_connection_id, exports.detached_connection_display_name, exports.detached_batch_id, \
    exports.detached_principal, exports.detached_time, exports.detached_reason, exports.schedule_pause_time, \
    exports.consecutive_failures, exports.creator, exports.owner, exports.id, exports.uid, exports.display_name, \
    exports.description, exports.connection_type, exports.payload, exports.schedule, exports.destination_settings, \
    exports.file_name, exports.next_due_time, exports.labels, exports.create_time, exports.updater, \
    exports.update_time, exports.revision";

const EXPORTS: &str = "FROM exports LEFT JOIN connections ON connections.organization = exports.organization \
    AND connections.uid = exports.connection_uid";

const NEWEST_RUN: &str = "LEFT JOIN runs ON runs.organization = exports.organization AND runs.uid = \
    (SELECT of_export.uid FROM runs AS of_export WHERE of_export.organization = exports.organization \
    AND of_export.export_uid = exports.uid ORDER BY of_export.uid DESC LIMIT 1)";

/// What the contributor `ann` may use.
const USABLE: &str = "(connections.shared_with_all OR EXISTS (SELECT 1 FROM connection_members \
    WHERE connection_members.organization = connections.organization \
    AND connection_members.connection_uid = connections.uid AND connection_members.member IN ('user:ann') \
    LIMIT 1 OFFSET 0))";

/// Which exports the contributor `ann` owns.
const OWN: &str = "(exports.owner IS NOT NULL AND exports.owner IN ('user:ann') \
    OR exports.owner IS NULL AND exports.creator = 'ann')";

pub const FIND_UID: &str = "SELECT connections.uid FROM connections WHERE connections.organization = 'acme' \
    AND connections.id = $1";

/// Finds a sealed credential, whose envelope the bare servers store instead of sealing others.
pub const FIND_ENVELOPE: &str = "SELECT key_id, envelope FROM credentials WHERE organization = 'acme' LIMIT 1";

pub const INSERT_CONNECTION: &str = "INSERT INTO connections (organization, uid, id, display_name, \
    display_name_search, description, connection_type, schema_version, properties, needs_credential, \
    credential_auth_method, credential_set_fields, credential_revision, credential_set_time, credential_expire_time, \
    shared_with_all, suspended, suspend_reason, attached_export_count, attachment_revision, last_attached_revision, \
    labels, creator, create_time, updater, update_time, revision, last_test) VALUES ('acme', $1, $2, $3, $4, '', \
    'sftp', 4, $5, TRUE, 'password', $6, 1, $7, NULL, FALSE, FALSE, '', 0, 0, 0, $8, $9, $7, $9, $7, 1, NULL)";

pub const PUT_CREDENTIAL: &str = "INSERT INTO credentials (organization, connection_uid, revision, key_id, envelope) \
    VALUES ('acme', $1, 1, $2, $3) ON CONFLICT (organization, connection_uid) DO UPDATE SET \
    revision = excluded.revision, key_id = excluded.key_id, envelope = excluded.envelope";

pub const INSERT_EXPORT: &str = "INSERT INTO exports (organization, uid, id, display_name, display_name_search, \
    description, connection_type, connection_uid, attached_revision, detached_connection_uid, \
    detached_connection_id, detached_connection_display_name, detached_batch_id, detached_principal, detached_time, \
    detached_reason, payload, schedule, destination_settings, next_due_time, labels, creator, create_time, updater, \
    update_time, revision, consecutive_failures, schedule_pause_time, file_name, owner) VALUES ('acme', $1, $2, $3, \
    $4, '', 'sftp', $5, $6, NULL, NULL, NULL, NULL, NULL, NULL, NULL, $7, $8, $9, $10, $11, $12, $13, $12, $13, 1, \
    0, NULL, NULL, $14)";

pub const UPDATE_EXPORT: &str = "UPDATE exports SET display_name = $1, display_name_search = $2, description = $3, \
    payload = $4, schedule = $5, destination_settings = $6, next_due_time = $7, labels = $8, updater = $9, \
    update_time = $10, revision = $11, schedule_pause_time = NULL, file_name = $12, owner = $13 \
    WHERE exports.organization = 'acme' AND exports.uid = $14";

pub const INSERT_EVENT: &str = "INSERT INTO audit_events (organization, uid, time, principal, roles, method, \
    resource, resource_uid, resource_display_name, changed_fields, before, after, denied_code, denied_minute, count, \
    call_id, trace_id, batch_id, reason) VALUES ('acme', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULL, NULL, \
    1, $12, NULL, NULL, '')";

/// The statements that depend on the database, or on what the caller may use.
pub struct Statements {
    /// Whose calls they are of.
    pub caller: Caller,
    pub get_by_id: &'static str,
    pub list: &'static str,
    pub lock_usable: &'static str,
    pub reserve_usable: &'static str,
    pub lock_export: &'static str,
    pub read_export: &'static str,
    pub snapshot: &'static str,
    pub page: &'static str,
}

/// The caller whose rows a bare server writes.
#[derive(Clone, Copy)]
pub struct Caller {
    pub principal: &'static str,
    pub member: &'static str,
    pub role: &'static str,
}

/// Leaks a text, which is needed until the program ends.
fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl Statements {
    /// The statements for the administrator `root`, or for the contributor `ann`.
    pub fn new(backend: Backend, role: Role) -> Self {
        let own = format!(
            "((exports.connection_uid IS NULL AND {OWN}) OR (NOT exports.connection_uid IS NULL AND {USABLE}))"
        );
        let (caller, usable, managed) = if role == Role::Admin {
            (Caller { principal: "root", member: "user:root", role: "ADMIN" }, "TRUE", "TRUE")
        } else {
            (Caller { principal: "ann", member: "user:ann", role: "CONTRIBUTOR" }, USABLE, own.as_str())
        };
        let (now, lock, lock_both) = match backend {
            Backend::Sqlite => ("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', (0 / 1000.0) || ' seconds')", "", ""),
            Backend::Postgres => (
                "(statement_timestamp() + 0 * interval '1 millisecond')",
                " FOR NO KEY UPDATE",
                " FOR NO KEY UPDATE OF connections, exports",
            ),
        };
        let availability = availability(now);
        let connection = format!("{MEMBERS}, {availability}, {CONNECTION}");
        let of_organization = "FROM connections WHERE connections.organization = 'acme'";
        let export = format!("connections.id, connections.display_name, {availability}, {managed}, {EXPORT}");
        let snapshot = format!(
            "connections.attached_export_count AS snapshot_count, \
             connections.attachment_revision AS snapshot_revision, {availability} AS availability, \
             {now} AS snapshot_time"
        );
        Self {
            caller,
            get_by_id: leak(format!("SELECT {connection} {of_organization} AND connections.id = $1")),
            list: leak(format!(
                "SELECT {connection} {of_organization} AND TRUE ORDER BY connections.uid ASC LIMIT {}",
                LIST_PAGE_SIZE + 1
            )),
            lock_usable: leak(format!("{FIND_UID} AND {usable}{lock}")),
            reserve_usable: leak(format!(
                "UPDATE connections SET attached_export_count = attached_export_count + 1, \
                 attachment_revision = attachment_revision + 1, last_attached_revision = attachment_revision + 1 \
                 WHERE connections.organization = 'acme' AND connections.uid = $1 AND {usable} RETURNING {connection}"
            )),
            lock_export: leak(format!(
                "SELECT exports.uid FROM exports INNER JOIN connections ON \
                 exports.organization = connections.organization AND exports.connection_uid = connections.uid \
                 WHERE exports.organization = 'acme' AND exports.id = $1{lock_both}"
            )),
            read_export: leak(format!(
                "SELECT {export}, runs.uid, runs.state, runs.create_time, runs.end_time, runs.failure_code {EXPORTS} \
                 {NEWEST_RUN} WHERE exports.organization = 'acme' AND exports.uid = $1"
            )),
            snapshot: leak(format!(
                "SELECT {snapshot}, connections.uid AS snapshot_uid {of_organization} AND connections.uid IN ($1)"
            )),
            page: leak(page(&snapshot)),
        }
    }
}

/// Whether exports on a connection can run: the code 0.
fn availability(now: &str) -> String {
    format!(
        "(CASE WHEN (connections.suspended) THEN 1 WHEN (connections.connection_type NOT IN ('azure_blob', \
         'dynamics_365_marketing', 'gcs', 'kafka', 'local_directory', 'postgresql', 's3', 'sftp', 'webhook')) \
         THEN 4 WHEN (connections.needs_credential AND connections.credential_auth_method IS NULL) THEN 2 \
         WHEN (connections.needs_credential AND connections.credential_expire_time <= ({now})) THEN 3 ELSE 0 END)"
    )
}

/// A page of the stream.
fn page(snapshot: &str) -> String {
    format!(
        "SELECT {snapshot}, p.entry_revision, p.entry_id, p.entry_display_name, p.entry_creator, p.entry_cause, \
         p.entry_due_time, p.entry_uid, p.entry_create_time, p.entry_schedule FROM connections LEFT JOIN (SELECT \
         exports.attached_revision AS entry_revision, exports.id AS entry_id, \
         exports.display_name AS entry_display_name, exports.creator AS entry_creator, \
         CAST(NULL AS text) AS entry_cause, exports.next_due_time AS entry_due_time, exports.uid AS entry_uid, \
         exports.create_time AS entry_create_time, exports.schedule AS entry_schedule FROM exports \
         WHERE exports.organization = 'acme' AND exports.connection_uid = $1 AND exports.attached_revision > $2 \
         ORDER BY exports.attached_revision ASC LIMIT {STREAM_PAGE_SIZE}) AS p ON TRUE \
         WHERE connections.organization = 'acme' AND connections.uid = $1 ORDER BY p.entry_revision ASC"
    )
}
