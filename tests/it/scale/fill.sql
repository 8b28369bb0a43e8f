-- Copies the connection, export, run and audit event that the API created, with skewed values: rare values stand at the
-- end of an order, and `late` ones fill the second half. Words in braces are replaced by numbers.
SET session_replication_role = replica; -- no triggers and no checks of foreign keys
SET statement_timeout = 0;
SET maintenance_work_mem = '512MB';
CREATE TABLE fill_indexes AS SELECT indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename IN ('connections', 'exports', 'runs', 'audit_events')
    AND indexname NOT LIKE '%\_pkey';
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT indexname FROM pg_indexes WHERE indexdef IN (SELECT indexdef FROM fill_indexes) LOOP
        EXECUTE 'DROP INDEX ' || name;
    END LOOP;
END $$;
-- Uids and times in the order of numbers, one millisecond apart.
CREATE FUNCTION fill_uid(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT (lpad(to_hex({start_ms} + number), 12, '0') || '70008000' || lpad(to_hex(number), 12, '0'))::uuid $$;
CREATE FUNCTION fill_time(number bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
    $$ SELECT timestamptz 'epoch' + ({start_ms} + number) * interval '1 millisecond' $$;

INSERT INTO connections
SELECT t.organization, fill_uid(n), 'connection-' || n, 'Partner ' || md5(n::text), 'partner ' || md5(n::text),
    t.description, CASE WHEN n = {connections} THEN 'kafka' ELSE t.connection_type END, t.schema_version, t.properties,
    t.needs_credential, t.credential_auth_method, t.credential_set_fields, t.credential_revision, t.credential_set_time,
    t.credential_expire_time, n = {connections}, n = {connections}, '', 0, {exports}, {exports}, t.labels, t.creator,
    fill_time(n), t.updater, fill_time((n::bigint * 7919) % {connections}), t.revision, NULL
FROM (SELECT * FROM connections LIMIT 1) t, generate_series(1, {connections}) n;
INSERT INTO connection_members
SELECT organization, uid, 'group:everyone' FROM connections WHERE id LIKE 'connection-%';
INSERT INTO connection_members
SELECT organization, uid, 'group:few' FROM connections
WHERE uid IN (fill_uid({connections} - 1), fill_uid({connections} - 2));

INSERT INTO exports
SELECT t.organization, fill_uid(n), 'export-' || n, 'Segment ' || md5(n::text), 'segment ' || md5(n::text),
    t.description, CASE WHEN n = {exports} THEN 'kafka' ELSE t.connection_type END,
    CASE WHEN n < {exports} - 2 THEN CASE WHEN n % 2 = 0 THEN fill_uid(1) ELSE fill_uid(2 + n % ({connections} - 3)) END
        WHEN n = {exports} - 2 THEN fill_uid({connections}) END,
    CASE WHEN n < {exports} - 1 THEN n END, CASE WHEN n >= {exports} - 1 THEN fill_uid(1) END,
    CASE WHEN n >= {exports} - 1 THEN 'connection-1' END, CASE WHEN n >= {exports} - 1 THEN 'Partner' END,
    CASE WHEN n >= {exports} - 1 THEN fill_uid(0) END, CASE WHEN n >= {exports} - 1 THEN 'root' END,
    CASE WHEN n >= {exports} - 1 THEN fill_time(n) END, NULL, t.payload, t.schedule, t.destination_settings,
    t.next_due_time, t.labels,
    CASE WHEN n = {exports} THEN 'rare' WHEN n > {exports} / 2 THEN 'late' ELSE t.creator END, fill_time(n), t.updater,
    fill_time((n::bigint * 7919) % {exports}), t.revision
FROM (SELECT * FROM exports LIMIT 1) t, generate_series(1, {exports}) n;

-- Lists of runs begin with the newest, so the rare values stand at the oldest.
INSERT INTO runs
SELECT t.organization, fill_uid(n), fill_uid(CASE WHEN n <= 3 THEN {exports} ELSE 1 + n % ({exports} - 3) END),
    t.export_display_name, fill_uid(1 + n % 2), CASE WHEN n <= 3 THEN 'connection-3' ELSE 'connection-' || (1 + n % 2) END,
    t.connection_type, CASE WHEN n <= 3 THEN 'CANCELLED' WHEN n < {runs} / 2 THEN 'FAILED' ELSE 'SUCCEEDED' END,
    CASE WHEN n <= 3 THEN 'CATCH_UP' WHEN n < {runs} / 2 THEN 'SCHEDULED' ELSE 'MANUAL' END, NULL, 0, t.principal, NULL,
    NULL, fill_time(n), fill_time(n), now()
FROM (SELECT * FROM runs LIMIT 1) t, generate_series(1, {runs}) n;

-- A tenth of the events, the oldest, is 200 days older than the others. Events are one second apart.
CREATE FUNCTION fill_age(number bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT number * 1000 + CASE WHEN number <= {events} / 10 THEN 0 ELSE 17280000000 END $$;
INSERT INTO audit_events
SELECT t.organization, fill_uid(fill_age(n)), fill_time(fill_age(n)),
    CASE WHEN n > {events} - 3 THEN 'rare' WHEN n > {events} / 2 THEN 'late' ELSE t.principal END, t.roles,
    CASE WHEN n > {events} - 3 THEN 'outflow.v1.ExportService/DeleteExport'
        WHEN n > {events} / 2 THEN 'outflow.v1.ExportService/UpdateExport' ELSE t.method END,
    'organizations/acme/exports/export-' || (1 + n % {exports}), fill_uid(1 + n % {exports}), t.resource_display_name,
    t.changed_fields, '{}', '{}', NULL, NULL, 1, t.call_id, NULL, NULL, '', 1 + n / 10
FROM (SELECT * FROM audit_events LIMIT 1) t, generate_series(1, {events}) n;

DO $$ DECLARE definition text; BEGIN
    FOR definition IN SELECT indexdef FROM fill_indexes LOOP EXECUTE definition; END LOOP;
END $$;
DROP TABLE fill_indexes;
VACUUM ANALYZE connections, connection_members, exports, runs, audit_events;
