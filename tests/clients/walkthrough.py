"""Runs the walk-through with buf curl and with grpcurl, and checks every response.

An administrator creates, tests, shares, unshares and deletes a connection to an OpenSSH server. A contributor creates
exports on it and runs them.
"""

import datetime
import json
import os
import pty
import sqlite3
import subprocess
import sys
import uuid
import zoneinfo

import callers
import openssh
import servers

ORGANIZATION = "organizations/acme"
PARTNER = f"{ORGANIZATION}/connections/partner"
DISPLAY_NAME = "Partner SFTP – weekly segments"
CRON = {"expression": "0 6 * * MON", "timeZone": "Europe/Berlin"}


def walk(server, ssh, tool):
    """Runs all steps in order."""
    print(f"with {tool.name}, on {server.name}")
    admin, ann = tool(server, "admin", "root"), tool(server, "contributor", "ann")
    lists_page_by_page(admin)
    connection = connects(admin, server, ssh)
    is_updated(admin, ssh)
    is_tested(admin, ssh)
    shares(admin, ann)
    exports = exports_are_made(ann)
    runs(ann, server, ssh)
    unshares(admin, ann, exports)
    removal_is_refused_until_nothing_blocks_it(admin, ann, exports)
    removes(admin, server, connection["uid"], ssh)
    attaches_again(admin, ann, ssh)
    a_detached_export_does_not_run(admin, ann, ssh)
    is_on_the_audit_log(admin)
    ssh.clear()


def step(words):
    """Prints the description of the next step."""
    print(f"  {words}")


def connects(admin, server, ssh):
    step("an administrator reads who it is and the connection types, and creates a connection")
    caller = admin("IdentityService/GetCaller", {})["caller"]
    assert (caller["principal"], caller["organization"]) == ("root", ORGANIZATION), caller
    assert caller["roles"] == ["ROLE_ADMIN"] and caller["expireTime"], caller
    types = admin("ConnectionService/ListConnectionTypes", {})["connectionTypes"]
    (sftp,) = [found for found in types if found["name"] == "connectionTypes/sftp"]
    required = {field["key"] for field in sftp["propertyFields"] if field["required"]}
    assert required == {"host", "username", "host_key"}, required
    assert {method["id"] for method in sftp["authMethods"]} == {"password", "private_key"}
    create = ("ConnectionService/CreateConnection", new_connection("partner", DISPLAY_NAME, ssh))
    create[1]["requestId"] = str(uuid.uuid4())
    checked = admin(create[0], create[1] | {"validateOnly": True})["connection"]
    assert (checked["name"], checked["uid"]) == (PARTNER, "")
    admin.refusal("ConnectionService/GetConnection", {"name": PARTNER}, "NOT_FOUND", "RESOURCE_NOT_FOUND")
    created = admin(*create)["connection"]
    assert admin(*create)["connection"] == created, "the repeated request has no second effect"
    assert (created["name"], created["displayName"]) == (PARTNER, DISPLAY_NAME)
    assert (created["state"], created["attachedExportCount"]) == ("STATE_ACTIVE", "0")
    assert created["properties"]["directory"] == ".", "the default is stored"
    assert created["credentialStatus"]["setFields"] == ["private_key"]
    read = admin("ConnectionService/GetConnection", {"name": PARTNER})
    assert read == {"connection": created} and secret(ssh) not in json.dumps(read)
    assert sealed_secrets(server, created["uid"]) == 1
    return created


def lists_page_by_page(admin):
    step("an administrator reads the connection types page by page")
    method, names, token = "ConnectionService/ListConnectionTypes", [], None
    while token != "":
        page = admin(method, {"pageSize": 3, "pageToken": token or ""})
        assert 1 <= len(page["connectionTypes"]) <= 3, page
        names += [found["name"] for found in page["connectionTypes"]]
        token = page["nextPageToken"]
    assert names == [found["name"] for found in admin(method, {})["connectionTypes"]] and len(names) > 3, names


def is_updated(admin, ssh):
    step("the administrator changes fields with a mask, and replaces the credential")
    changes = {"name": PARTNER, "displayName": DISPLAY_NAME, "description": "Weekly\nsegments", "properties": {}}
    update = {"connection": changes, "updateMask": "displayName,description"}
    updated = admin("ConnectionService/UpdateConnection", update)
    assert updated["connection"]["description"] == "Weekly\nsegments" and "affectedExportCount" in updated, updated
    assert updated["connection"]["properties"]["host"] == "127.0.0.1", "the mask does not name the properties"
    rotate = {"name": PARTNER, "credential": new_connection("", "", ssh)["credential"]}
    rotated = admin("ConnectionService/RotateConnectionCredential", rotate)["connection"]
    revisions = [int(found["credentialStatus"]["revision"]) for found in [updated["connection"], rotated]]
    assert revisions[1] > revisions[0], revisions


def new_connection(connection_id, display_name, ssh):
    properties = {"host": "127.0.0.1", "port": ssh.port, "username": ssh.username, "host_key": ssh.host_key}
    return {
        "parent": ORGANIZATION,
        "connectionId": connection_id,
        "connection": {"displayName": display_name, "connectionType": "connectionTypes/sftp", "properties": properties},
        "credential": {"authMethod": "private_key", "inline": {"values": {"private_key": ssh.private_key}}},
    }


def secret(ssh):
    """Returns a line of the private key, which must not occur anywhere."""
    return ssh.private_key.splitlines()[2]


def is_tested(admin, ssh):
    step("the administrator tests the connection")
    test = ("ConnectionService/TestConnection", {"parent": ORGANIZATION, "name": PARTNER})
    tested = admin(*test)
    outcomes = {check["step"].removeprefix("STEP_"): check["outcome"] for check in tested["checks"]}
    passed = {"RESOLVE", "CONNECT", "TLS", "AUTHENTICATE", "WRITE"}
    assert tested["passed"] and outcomes == dict.fromkeys(passed, "OUTCOME_PASSED"), tested
    assert ssh.files() == {}, "a test leaves nothing"
    # A host key that is not the configured one is shown.
    other = new_connection("partner", DISPLAY_NAME, ssh)
    other["connection"]["properties"]["host_key"] = "SHA256:" + 43 * "A"
    tested = admin(test[0], {key: other[key] for key in ["parent", "connection", "credential"]})
    (failed,) = [check for check in tested["checks"] if check["outcome"] == "OUTCOME_FAILED"]
    assert not tested["passed"] and failed["step"] == "STEP_TLS", tested
    assert (failed["error"]["code"], failed["foundHostKey"]) == ("CODE_HOST_KEY_MISMATCH", ssh.host_key), failed


def shares(admin, ann):
    step("a contributor can use the connection after it is shared, and can read its name and type only")
    search = ("ConnectionService/SearchUsableConnections", {"parent": ORGANIZATION})
    assert ann(*search)["usableConnections"] == []
    ann.refusal("ExportService/CreateExport", new_export("early", "Early"), "PERMISSION_DENIED", "NOT_PERMITTED")
    shared = admin("ConnectionService/ShareConnection", {"name": PARTNER, "allContributors": True})["connection"]
    assert shared["sharing"] == {"allContributors": True, "members": []}
    usable = {"name": PARTNER, "displayName": DISPLAY_NAME, "connectionType": "connectionTypes/sftp"}
    usable["displayNameAmbiguous"] = False
    assert ann(*search)["usableConnections"] == [usable]
    ann.refusal("ConnectionService/GetConnection", {"name": PARTNER}, "PERMISSION_DENIED", "ROLE_REQUIRED")


def new_export(export_id, display_name):
    fields = [{"field": "email", "transform": "TRANSFORM_SHA256_NORMALIZED"}, {"field": "segment", "outputName": "s"}]
    return {
        "parent": ORGANIZATION,
        "exportId": export_id,
        "export": {
            "displayName": display_name,
            "connection": PARTNER,
            "payload": {"tables": [{"table": "customers", "fields": fields}]},
            "schedule": {"cron": CRON, "enabled": True},
            "destinationSettings": {"folder": f"weekly/{export_id}", "file_format": "csv", "compression": "none"},
        },
    }


def exports_are_made(ann):
    step("the contributor creates three exports and previews their schedule")
    exports = {}
    for export_id, display_name in [("buyers", "Weekly buyers"), ("lapsed", "Weekly lapsed"), ("new", "Weekly new")]:
        made = ann("ExportService/CreateExport", new_export(export_id, display_name))["export"]
        assert (made["state"], made["callerAccess"]) == ("STATE_ACTIVE", "CALLER_ACCESS_MANAGE")
        assert (made["connectionDisplayName"], made["creator"]) == (DISPLAY_NAME, "ann")
        assert made["owner"] == "user:ann", "by default the creator"
        assert is_monday_at_six(made["nextRunTime"]), made["nextRunTime"]
        exports[made["name"]] = made
    preview = {"parent": ORGANIZATION, "schedule": {"cron": CRON}, "count": 60}
    occurrences = ann("ExportService/PreviewSchedule", preview)["occurrences"]
    times = [found["time"] for found in occurrences]
    assert len(times) == 60 and all(map(is_monday_at_six, times)) and times == sorted(set(times))
    assert times[0] == exports[f"{ORGANIZATION}/exports/buyers"]["nextRunTime"]
    offsets = {found["localTime"][-6:] for found in occurrences}
    assert offsets == {"+01:00", "+02:00"}, "60 weeks include standard time and daylight saving time"
    return exports


def runs(ann, server, ssh):
    step("the contributor previews an export, runs it now, and follows the run")
    name = f"{ORGANIZATION}/exports/buyers"
    datasets = ann("ExportService/ListDatasets", {"parent": ORGANIZATION})["datasets"]
    (customers,) = [found for found in datasets if found["table"] == "customers"]
    assert {"email", "segment"} <= {field["name"] for field in customers["fields"]}
    (shown,) = ann("ExportService/PreviewExport", {"parent": ORGANIZATION, "name": name, "rows": 2})["files"]
    assert shown["path"].startswith("buyers-customers-") and shown["sampleRows"] == 2, shown
    assert shown["sample"].startswith("email,s\r\n"), shown
    assert ssh.files() == {}, "a preview delivers nothing"

    run = ann("ExportService/RunExport", {"name": name})["run"]
    assert (run["trigger"], run["principal"]) == ("TRIGGER_MANUAL", "ann")
    printed = server.command("runs", "follow", run["name"], "--endpoint", f"http://{server.address}")
    assert printed.splitlines()[-1].startswith("SUCCEEDED, attempt 1: 5000 rows written"), printed
    assert "SUCCEEDED, attempt 1" in on_a_terminal(server, run["name"])
    run = ann("ExportService/GetExportRun", {"name": run["name"]})["run"]
    assert (run["state"], run["attempt"], run["adminDetail"]) == ("STATE_SUCCEEDED", 1, "")
    stats = run["stats"]
    assert (stats["rowsRead"], stats["rowsWritten"], stats["files"]) == ("5000", "5000", 1), stats
    files = ssh.files()
    assert len(files) == 2, "a file and its manifest"
    (delivered,) = [content for path, content in files.items() if path.endswith(".csv")]
    assert delivered.decode().startswith(shown["sample"]), "a run delivers what the preview showed"
    assert (str(len(delivered)), delivered.count(b"\r\n")) == (stats["bytesWritten"], 5001)


def on_a_terminal(server, run):
    """Follows a run on a terminal, and returns what it shows."""
    main, terminal = pty.openpty()
    follow = [servers.BINARY, "runs", "follow", run, "--endpoint", f"http://{server.address}"]
    follow += ["--data-dir", str(server.data_dir)]
    process = subprocess.Popen(follow, env=server.environment, stdout=terminal)
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(main, 65536):
            shown += part
    except OSError:  # the other end was closed
        pass
    os.close(main)
    assert process.wait() == 0
    return shown.decode()


def is_monday_at_six(time):
    moment = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    local = moment.astimezone(zoneinfo.ZoneInfo("Europe/Berlin"))
    return (local.isoweekday(), local.time()) == (1, datetime.time(6)) and moment > now()


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def configuration(export):
    return {key: export[key] for key in ["uid", "displayName", "payload", "schedule", "destinationSettings", "labels"]}


def unshares(admin, ann, exports):
    step("after the connection is unshared, the exports stay active, and the contributor can only view them")
    answer = admin("ConnectionService/UnshareConnection", {"name": PARTNER, "allContributors": True})
    assert answer["affectedExportCount"] == "3" and answer["connection"]["sharing"]["allContributors"] is False
    listed = ann("ExportService/ListExports", {"parent": ORGANIZATION})["exports"]
    assert [found["name"] for found in listed] == list(exports)
    for found in listed:
        assert (found["state"], found["callerAccess"]) == ("STATE_ACTIVE", "CALLER_ACCESS_VIEW")
        assert configuration(found) == configuration(exports[found["name"]])
        assert found["nextRunTime"] == exports[found["name"]]["nextRunTime"]
    edit = {"export": {"name": listed[0]["name"], "displayName": "Mine"}}
    ann.refusal("ExportService/UpdateExport", edit, "PERMISSION_DENIED", "NOT_PERMITTED")
    ann.refusal("ExportService/DeleteExport", {"name": listed[0]["name"]}, "PERMISSION_DENIED", "NOT_PERMITTED")
    assert ann("ExportService/GetExport", {"name": listed[0]["name"]})["export"] == listed[0], "nothing changed"


def removal_is_refused_until_nothing_blocks_it(admin, ann, exports):
    step("the connection cannot be deleted; its blocking exports are listed, then deleted or detached")
    remove = ("ConnectionService/DeleteConnection", {"name": PARTNER})
    refused = admin.refusal(*remove, "FAILED_PRECONDITION", "CONNECTION_IN_USE")
    assert refused.message.startswith("3 exports use this connection"), refused.message
    assert refused.details["ErrorInfo"].metadata["blocking_export_count"] == "3"
    named = [(found.subject, found.description) for found in refused.details["PreconditionFailure"].violations]
    assert named == [(name, export["displayName"]) for name, export in exports.items()], named

    *blocking, last = admin.stream("ConnectionService/StreamBlockingExports", {"name": PARTNER})
    shown = [message["blocking"] for message in blocking]
    assert [found["name"] for found in shown] == list(exports)
    assert all(found["creator"] == "ann" and found["state"] == "STATE_ACTIVE" for found in shown)
    assert last["summary"]["blockingExportCount"] == "3"
    etag = last["summary"]["blockingSetEtag"]
    assert etag == refused.details["ErrorInfo"].metadata["blocking_set_etag"]
    follow = {"name": PARTNER, "follow": True}
    ended = admin.error("ConnectionService/StreamBlockingExports", follow, *admin.one_second)
    assert ended.code == "DEADLINE_EXCEEDED", ended

    removed, detached, rest = exports
    admin("ExportService/DeleteExport", {"name": removed})
    admin.refusal("ExportService/GetExport", {"name": removed}, "NOT_FOUND", "RESOURCE_NOT_FOUND")
    alone = admin("ExportService/DetachExport", {"name": detached, "reason": "the partner left"})["export"]
    assert alone["state"] == "STATE_INACTIVE" and alone["detachment"]["reason"] == "the partner left"
    shown_set = {"connection": PARTNER, "blockingSetEtag": etag}
    batch = admin("ExportService/BatchDetachExports", {"parent": ORGANIZATION, "attachedSet": shown_set})
    assert batch["detachedCount"] == "1" and batch["batchId"]
    for name in [detached, rest]:
        export = ann("ExportService/GetExport", {"name": name})["export"]
        assert (export["state"], export["connection"]) == ("STATE_INACTIVE", "")
        assert export["nextRunTime"] is None and export["detachment"]["connection"] == PARTNER
        assert configuration(export) == configuration(exports[name])
        assert export["callerAccess"] == "CALLER_ACCESS_MANAGE", "the owner manages a detached export"
        ann.refusal("ExportService/RunExport", {"name": name}, "FAILED_PRECONDITION", "EXPORT_INACTIVE")
    assert batch["batchId"] == export["detachment"]["batchId"]


def removes(admin, server, uid, ssh):
    step("the connection is deleted together with its credential")
    assert sealed_secrets(server, uid) == 1
    admin("ConnectionService/DeleteConnection", {"name": PARTNER})
    admin.refusal("ConnectionService/GetConnection", {"name": PARTNER}, "NOT_FOUND", "RESOURCE_NOT_FOUND")
    assert sealed_secrets(server, uid) == 0
    dump = server.dump()
    assert DISPLAY_NAME.encode() in dump, "the dump contains data that is not secret: the audit event of the deletion"
    assert secret(ssh).encode() not in dump
    assert secret(ssh) not in "".join(server.log)


def sealed_secrets(server, uid):
    """Returns the number of sealed credentials of a connection."""
    uid = uuid.UUID(uid)
    if server.database_url:
        query = f"SELECT count(*) FROM credentials WHERE connection_uid = '{uid}'"
        psql = [servers.program("psql"), "-X", "-A", "-t", "-d", server.database_url, "-c", query]
        return int(subprocess.run(psql, check=True, capture_output=True, text=True).stdout)
    database = sqlite3.connect(f"file:{server.data_dir}/outflow.db?mode=ro", uri=True)
    try:
        return database.execute("SELECT count(*) FROM credentials WHERE connection_uid = ?", [uid.bytes]).fetchone()[0]
    finally:
        database.close()


def attaches_again(admin, ann, ssh):
    step("the contributor attaches an export to another shared connection, and it is active again")
    other = new_connection("other", "Another SFTP", ssh)
    other["connection"]["sharing"] = {"members": ["user:ann"]}
    admin("ConnectionService/CreateConnection", other)
    name = f"{ORGANIZATION}/exports/lapsed"
    attach = {"name": name, "connection": f"{ORGANIZATION}/connections/other"}
    attached = ann("ExportService/AttachExport", attach)["export"]
    assert (attached["state"], attached["connectionDisplayName"]) == ("STATE_ACTIVE", "Another SFTP")
    assert is_monday_at_six(attached["nextRunTime"]) and attached["detachment"] is None
    assert ann("ExportService/GetExport", {"name": name})["export"] == attached


def a_detached_export_does_not_run(admin, ann, ssh):
    step("of two exports that are due at one time, the detached one does not run")
    due = (now() + datetime.timedelta(seconds=10)).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    for export_id in ["kept", "detached"]:
        export = new_export(export_id, export_id.title())
        export["export"]["connection"] = f"{ORGANIZATION}/connections/other"
        export["export"]["schedule"] = {"interval": {"every": "900s", "anchor": due}, "enabled": True}
        made = ann("ExportService/CreateExport", export)["export"]
        assert made["nextRunTime"] == due, made
    detached = admin("ExportService/DetachExport", {"name": f"{ORGANIZATION}/exports/detached"})["export"]
    assert now() < datetime.datetime.fromisoformat(due), "it was detached before it was due"
    runs = []
    while not runs or runs[0]["state"] in ("STATE_QUEUED", "STATE_RUNNING"):
        assert (now() - datetime.datetime.fromisoformat(due)).total_seconds() < 60, runs
        runs = ann("ExportService/ListExportRuns", {"parent": f"{ORGANIZATION}/exports/kept"})["runs"]
    (run,) = runs
    assert (run["state"], run["trigger"]) == ("STATE_SUCCEEDED", "TRIGGER_SCHEDULED"), run
    assert (run["scheduleTime"], run["principal"]) == (due, "system:scheduler"), run
    assert ann("ExportService/ListExportRuns", {"parent": detached["name"]})["runs"] == []
    ann.refusal("ExportService/RunExport", {"name": detached["name"]}, "FAILED_PRECONDITION", "EXPORT_INACTIVE")
    folders = {path.split("/")[1] for path in ssh.files()}
    assert folders == {"buyers", "kept"}, folders


def is_on_the_audit_log(admin):
    step("the audit log contains all changes and the denied attempts")
    events = admin("AuditService/ListAuditEvents", {"parent": ORGANIZATION, "pageSize": 100})["auditEvents"]
    succeeded = [event for event in events if event["outcome"] == "OUTCOME_SUCCEEDED"]
    system = [event for event in succeeded if event["principal"].startswith("system:")]
    told = [event["method"].split("/")[1] for event in succeeded if event not in system]
    opened = [(event["principal"], event["resource"].split("/")[3], event["reason"].split("/")[3]) for event in system]
    assert opened == [("system:runner", "partner", "buyers"), ("system:runner", "other", "kept")], system
    changes = ["CreateConnection", "UpdateConnection", "RotateConnectionCredential", "TestConnection", "ShareConnection"]
    changes += ["CreateExport", "CreateExport", "CreateExport", "PreviewExport", "RunExport", "UnshareConnection"]
    changes += ["DeleteExport", "DetachExport", "BatchDetachExports", "DeleteConnection", "CreateConnection", "AttachExport"]
    changes += ["CreateExport", "CreateExport", "DetachExport"]
    assert told == changes, told
    denied = {event["method"].split("/")[1] for event in events if event["outcome"] == "OUTCOME_DENIED"}
    assert denied == {"CreateExport", "GetConnection", "UpdateExport", "DeleteExport"}, denied


if __name__ == "__main__":
    with openssh.serving() as ssh:
        servers.ENVIRONMENT["OUTFLOW_OUTBOUND_ALLOWED"] = f"*=127.0.0.0/8:{ssh.port}"
        servers.on_each_database(lambda server: walk(server, ssh, callers.BufCurl), *sys.argv[1:])
        if not sys.argv[1:]:
            with servers.serving() as server:
                walk(server, ssh, callers.Grpcurl)
