#!/usr/bin/env python3
"""The walk-through, with a public client against the running binary, on SQLite and on PostgreSQL.

Drives `target/debug/outflow` (or $OUTFLOW_BIN) with `buf curl` by reflection, and checks every answer. Needs buf and,
for its throw-away cluster, PostgreSQL's programs; nothing of Python beyond its standard library.
"""

import base64
import glob
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

BINARY = os.path.abspath(
    os.environ.get("OUTFLOW_BIN") or os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "debug", "outflow")
)
NOBODY = 65534
SECRET = "walk-through-secret-4711"
ORGANIZATION = "organizations/acme"
PARTNER = f"{ORGANIZATION}/connections/partner"
MONDAY = {"expression": "0 6 * * MON", "time_zone": "Europe/Berlin"}
checks = 0


def check(condition, what):
    """Counts a check that holds; ends the run with one that does not."""
    global checks
    if not condition:
        sys.exit(f"walk-through: {what}")
    checks += 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else shutil.which(name) or sys.exit(f"{name} not found: install PostgreSQL")


class Cluster:
    """A throw-away PostgreSQL, as an ordinary user where we are root."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="outflow-walkthrough-")
        self.user = {"user": NOBODY, "group": NOBODY} if os.getuid() == 0 else {}
        if self.user:
            os.chown(self.folder, NOBODY, NOBODY)
        data, port = os.path.join(self.folder, "data"), free_port()
        self.run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-D", data)
        self.server = subprocess.Popen(
            [program("postgres"), "-D", data, "-k", self.folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
             "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **self.user)
        self.url = f"postgres://postgres@127.0.0.1:{port}/postgres"
        for _ in range(300):
            if subprocess.run([program("pg_isready"), "-q", "-d", self.url], check=False).returncode == 0:
                return
            time.sleep(0.1)
        sys.exit("walk-through: PostgreSQL did not start")

    def run(self, name, *arguments):
        subprocess.run([program(name), *arguments], check=True, capture_output=True, cwd="/", **self.user)

    def credentials(self):
        query = "SELECT count(*) FROM credentials"
        answer = subprocess.run([program("psql"), "-XAtc", query, self.url], check=True, capture_output=True, text=True)
        return int(answer.stdout)

    def holds(self, secret):
        dump = subprocess.run([program("pg_dump"), self.url], check=True, capture_output=True)
        return secret.encode() in dump.stdout

    def stop(self):
        self.server.terminate()
        self.server.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


class File:
    """The embedded default: an SQLite file."""

    url = None

    def __init__(self, data_dir):
        self.path = os.path.join(data_dir, "outflow.db")

    def credentials(self):
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM credentials").fetchone()[0]

    def holds(self, secret):
        files = glob.glob(self.path + "*")
        return any(secret.encode() in open(file, "rb").read() for file in files)

    def stop(self):
        pass


class Outflow:
    """The running binary, and callers of it."""

    def __init__(self, data_dir, url):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("OUTFLOW_")}
        self.address = f"127.0.0.1:{free_port()}"
        self.environment = {**kept, "OUTFLOW_LISTEN": self.address, "OUTFLOW_DATA_DIR": data_dir,
                            "OUTFLOW_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
        if url:
            self.environment["OUTFLOW_DATABASE_URL"] = url
            self.command("keys", "generate")
        self.log = open(os.path.join(data_dir, "log"), "w+b")
        self.server = subprocess.Popen([BINARY], env=self.environment, stdout=self.log, stderr=subprocess.STDOUT)
        for _ in range(300):
            probe = subprocess.run([BINARY, "healthcheck"], env=self.environment, capture_output=True, check=False)
            if probe.returncode == 0:
                return
            time.sleep(0.1)
        sys.exit("walk-through: the server did not start")

    def command(self, *arguments):
        answer = subprocess.run([BINARY, *arguments], env=self.environment, check=True, capture_output=True, text=True)
        return answer.stdout.strip()

    def caller(self, role, subject):
        token = self.command("token", "mint", "--role", role, "--subject", subject)
        return lambda method, refused=None, **request: self.call(token, method, refused, request)

    def call(self, token, method, refused, request):
        """The answers of a call, one or a stream of them; or its refusal, if that is what is expected."""
        answer = subprocess.run(
            ["buf", "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-H", f"authorization: Bearer {token}",
             "-d", json.dumps(request), f"http://{self.address}/outflow.v1.{method}"],
            capture_output=True, text=True, check=False)
        if refused:
            check(answer.returncode != 0, f"{method} was not refused: {answer.stdout}")
            error = json.loads(answer.stderr)
            check(error["code"] == refused, f"{method}: {refused} expected: {answer.stderr}")
            return error
        check(answer.returncode == 0, f"{method}: {answer.stderr}")
        decoder, text, answers = json.JSONDecoder(), answer.stdout.strip(), []
        while text:
            value, end = decoder.raw_decode(text)
            answers.append(value)
            text = text[end:].strip()
        return answers if method.endswith("/StreamBlockingExports") else answers[0]

    def stop(self):
        self.server.terminate()
        check(self.server.wait(30) == 0, "the server did not stop cleanly")
        self.log.seek(0)
        return self.log.read()


def fields(message):
    """The length-delimited fields of a protobuf message, in order: all that is needed of error details."""
    found, at = [], 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(message):
        number, size = varint() >> 3, varint()
        found.append((number, message[at:at + size]))
        at += size
    return found


def detail(error, kind):
    """The fields of the detail of a kind; `buf curl` shows it as bytes."""
    for found in error.get("details", []):
        if found["type"].endswith(kind):
            value = found["value"]
            return fields(base64.b64decode(value + "=" * (-len(value) % 4)))
    return sys.exit(f"walk-through: no {kind} in {error}")


def connect(admin, contributor):
    """Steps 1 and 2: a connection, its sharing, and who learns what."""
    types = admin("ConnectionService/ListConnectionTypes")["connectionTypes"]
    check("connectionTypes/sftp" in [found["name"] for found in types], "sftp is in the catalog")
    created = admin(
        "ConnectionService/CreateConnection", parent=ORGANIZATION, connection_id="partner",
        connection={
            "display_name": "Partner SFTP – weekly segments", "connection_type": "connectionTypes/sftp",
            "properties": {"host": "sftp.partner.example", "port": 22, "username": "acme", "directory": "in",
                           "host_key": "SHA256:" + "A" * 43}},
        credential={"auth_method": "password", "inline": {"values": {"password": SECRET}}})["connection"]
    check(created["name"] == PARTNER and created["state"] == "STATE_ACTIVE", f"created: {created}")
    check(SECRET not in json.dumps(created), "the secret does not come out")
    check(contributor("ConnectionService/SearchUsableConnections", parent=ORGANIZATION) == {}, "nothing is usable yet")
    contributor("ExportService/CreateExport", "permission_denied", parent=ORGANIZATION, export=export("Too early"))
    admin("ConnectionService/ShareConnection", name=PARTNER, all_contributors=True)
    usable = contributor("ConnectionService/SearchUsableConnections", parent=ORGANIZATION)["usableConnections"]
    expected = {"name": PARTNER, "displayName": "Partner SFTP – weekly segments",
                "connectionType": "connectionTypes/sftp"}
    check(usable == [expected], f"name, display name and type, nothing more: {usable}")
    contributor("ConnectionService/GetConnection", "permission_denied", name=PARTNER)


def export(display_name, connection=PARTNER):
    fields = [{"field": "email", "transform": "TRANSFORM_SHA256_NORMALIZED"}, {"field": "segment"}]
    return {"display_name": display_name, "connection": connection,
            "payload": {"tables": [{"table": "customers", "fields": fields}]},
            "schedule": {"enabled": True, "cron": MONDAY},
            "destination_settings": {"folder": "weekly", "file_format": "csv"}}


def define(contributor):
    """Step 3: three exports, and their next times."""
    made = [contributor("ExportService/CreateExport", parent=ORGANIZATION, export_id=f"e{number}",
                        export=export(f"Segment {number}"))["export"] for number in (1, 2, 3)]
    for one in made:
        check(one["state"] == "STATE_ACTIVE" and one["callerAccess"] == "CALLER_ACCESS_MANAGE", f"made: {one}")
        check(one["schedule"]["cron"]["expression"] == "0 6 * * MON", "kept as written")
    preview = contributor("ExportService/PreviewSchedule", parent=ORGANIZATION, schedule={"cron": MONDAY}, count=60)
    times = [occurrence["localTime"] for occurrence in preview["occurrences"]]
    check(len(times) == 60 and all("T06:00:00+0" in time for time in times), f"Mondays at six by the wall clock: {times}")
    check(preview["occurrences"][0]["time"] == made[0]["nextRunTime"], "the next time is the first of the preview")
    return made


def unshare(admin, contributor, made):
    """Step 4: unsharing breaks nothing."""
    answer = admin("ConnectionService/UnshareConnection", name=PARTNER, all_contributors=True)
    check(answer["affectedExportCount"] == "3", f"three are affected: {answer}")
    for one in made:
        seen = contributor("ExportService/GetExport", name=one["name"])["export"]
        check(seen == {**one, "callerAccess": "CALLER_ACCESS_VIEW"}, f"the same, but to view: {seen}")
    contributor("ExportService/UpdateExport", "permission_denied",
                export={"name": made[0]["name"], "display_name": "Mine"})


def remove(admin, made, database):
    """Steps 5 and 6: a connection in use cannot be removed; what blocks it is shown, and detached as shown."""
    error = admin("ConnectionService/DeleteConnection", "failed_precondition", name=PARTNER)
    check("3 exports use this connection" in error["message"], error["message"])
    info = detail(error, "ErrorInfo")
    metadata = dict(tuple(value.decode() for _, value in fields(entry)) for number, entry in info if number == 3)
    check(info[0][1] == b"CONNECTION_IN_USE" and metadata["blocking_export_count"] == "3", f"{info}")
    violations = [dict(fields(violation)) for _, violation in detail(error, "PreconditionFailure")]
    named = [violation[2].decode() for violation in violations]
    check(named == [one["name"] for one in made], f"all are named: {named}")
    stream = admin("ConnectionService/StreamBlockingExports", name=PARTNER)
    check([message["blocking"]["name"] for message in stream[:-1]] == named, f"the stream shows the same: {stream}")
    summary = stream[-1]["summary"]
    check(summary["blockingExportCount"] == "3", f"{summary}")
    admin("ExportService/DeleteExport", name=made[0]["name"])
    alone = admin("ExportService/DetachExport", name=made[1]["name"], reason="moving house")["export"]
    check(alone["state"] == "STATE_INACTIVE" and alone["detachment"]["reason"] == "moving house", f"{alone}")
    attached_set = {"connection": PARTNER, "blocking_set_etag": summary["blockingSetEtag"]}
    rest = admin("ExportService/BatchDetachExports", parent=ORGANIZATION, attached_set=attached_set)
    check(rest["detachedCount"] == "1", f"what of the set was still attached: {rest}")
    for one in made[1:]:
        seen = admin("ExportService/GetExport", name=one["name"])["export"]
        kept = ("payload", "schedule", "destinationSettings", "displayName", "connectionType", "uid")
        check(all(seen[key] == one[key] for key in kept), f"configuration intact: {seen}")
        check(seen["state"] == "STATE_INACTIVE" and "nextRunTime" not in seen, f"inactive: {seen}")
        check(seen["detachment"]["connection"] == PARTNER, f"{seen}")
    check(database.credentials() == 1, "its credential is stored, sealed")
    admin("ConnectionService/DeleteConnection", name=PARTNER)
    admin("ConnectionService/GetConnection", "not_found", name=PARTNER)
    check(database.credentials() == 0, "its secret is gone from the database")
    check(not database.holds(SECRET), "and never was there in plain")


def attach(admin, contributor, made):
    """Step 7: an export goes on, on another connection."""
    other = admin(
        "ConnectionService/CreateConnection", parent=ORGANIZATION,
        connection={"display_name": "Second partner", "connection_type": "connectionTypes/sftp",
                    "properties": {"host": "second.example", "username": "acme", "host_key": "SHA256:" + "B" * 43},
                    "sharing": {"members": ["user:ann"]}},
        credential={"auth_method": "password", "inline": {"values": {"password": SECRET}}})["connection"]
    moved = contributor("ExportService/AttachExport", name=made[1]["name"], connection=other["name"])["export"]
    check(moved["state"] == "STATE_ACTIVE" and moved["connection"] == other["name"], f"active again: {moved}")
    check(moved["nextRunTime"] == made[1]["nextRunTime"] and "detachment" not in moved, f"next time set: {moved}")
    check(moved["payload"] == made[1]["payload"], "nothing was lost")
    events = admin("AuditService/ListAuditEvents", parent=ORGANIZATION, page_size=1000)["auditEvents"]
    denied = [event for event in events if event["outcome"] == "OUTCOME_DENIED"]
    check(len(events) - len(denied) == 12, f"every change is on the audit log: {[e['method'] for e in events]}")
    check(len(denied) == 3 and all(event["principal"] == "ann" for event in denied), f"and what was denied: {denied}")
    check(SECRET not in json.dumps(events), "without the secret")


def walk(database, data_dir):
    outflow = Outflow(data_dir, database.url)
    admin, contributor = outflow.caller("admin", "root"), outflow.caller("contributor", "ann")
    connect(admin, contributor)
    made = define(contributor)
    unshare(admin, contributor, made)
    remove(admin, made, database)
    attach(admin, contributor, made)
    log = outflow.stop()
    check(b"CreateConnection" in log and SECRET.encode() not in log, "the log tells of the calls, not of the secret")
    check(b"eyJ" not in log, "no token is on the log")


def main():
    for name in ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory() as data_dir:
            database = File(data_dir) if name == "SQLite" else Cluster()
            try:
                walk(database, data_dir)
            finally:
                database.stop()
        print(f"the walk-through holds on {name}")
    print(f"{checks} passed, 0 failed")


if __name__ == "__main__":
    main()
