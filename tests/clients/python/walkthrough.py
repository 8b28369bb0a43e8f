"""The walk-through with a client that grpc_tools generates. `languages.py` runs it, and sets the environment."""

import datetime
import os
import uuid

import grpc
from google.protobuf import field_mask_pb2
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status
from outflow.v1 import connection_pb2, connection_service_pb2, connection_service_pb2_grpc
from outflow.v1 import export_pb2, export_service_pb2, export_service_pb2_grpc, run_pb2

ORGANIZATION = os.environ["ORGANIZATION"]
PARTNER, OTHER = f"{ORGANIZATION}/connections/partner", f"{ORGANIZATION}/connections/other"
EXPORTS = [f"{ORGANIZATION}/exports/{export_id}" for export_id in ["one", "two", "three"]]
MONDAYS = export_pb2.Schedule(
    enabled=True, cron=export_pb2.Schedule.Cron(expression="0 6 * * MON", time_zone="Europe/Berlin")
)
ACTIVE, INACTIVE = export_pb2.Export.STATE_ACTIVE, export_pb2.Export.STATE_INACTIVE


class Caller:
    """The services with the token of one role."""

    def __init__(self, channel, role):
        token = os.environ[f"TOKEN_{role}"]
        self.options = {"metadata": [("authorization", f"Bearer {token}")], "timeout": 30}
        self.connections = connection_service_pb2_grpc.ConnectionServiceStub(channel)
        self.exports = export_service_pb2_grpc.ExportServiceStub(channel)

    def __getattr__(self, method):
        """Returns a method of either service, which takes the fields of its request."""
        for stub, messages in [(self.connections, connection_service_pb2), (self.exports, export_service_pb2)]:
            if hasattr(stub, method):
                request = getattr(messages, f"{method}Request")
                return lambda **fields: getattr(stub, method)(request(**fields), **self.options)
        raise AttributeError(method)

    def refusal(self, method, code, reason, **fields):
        """Calls a method that must fail with a code and a reason. Returns the message, and the details by type."""
        try:
            getattr(self, method)(**fields)
        except grpc.RpcError as error:
            unpacked = {}
            for detail in rpc_status.from_call(error).details:
                message = getattr(details, detail.TypeName().removeprefix("google.rpc."))()
                assert detail.Unpack(message)
                unpacked[type(message).__name__] = message
            assert (error.code(), unpacked["ErrorInfo"].reason) == (grpc.StatusCode[code], reason), error
            return error.details(), unpacked
        raise AssertionError(f"{method} succeeded")


def credential():
    """Returns the credential for the SSH server."""
    made = connection_pb2.CredentialInput(auth_method="private_key")
    made.inline.values["private_key"] = os.environ["SSH_PRIVATE_KEY"]
    return made


def new_connection(connection_id, display_name, sharing=None):
    """Returns the fields of a request that creates a connection to the SSH server."""
    connection = connection_pb2.Connection(
        display_name=display_name, connection_type="connectionTypes/sftp", sharing=sharing
    )
    connection.properties.update({"host": "127.0.0.1", "port": int(os.environ["SSH_PORT"])})
    connection.properties.update({"username": os.environ["SSH_USERNAME"], "host_key": os.environ["SSH_HOST_KEY"]})
    return {"parent": ORGANIZATION, "connection_id": connection_id, "connection": connection, "credential": credential()}


def connects(admin):
    """Lists the connection types page by page. Creates, updates and tests a connection, and rotates its credential."""
    names, token = [], None
    while token != "":
        page = admin.ListConnectionTypes(page_size=3, page_token=token or "")
        names += [found.name for found in page.connection_types]
        token = page.next_page_token
    assert len(names) == len(set(names)) > 3 and "connectionTypes/sftp" in names, names

    fields = new_connection("partner", "Partner SFTP – weekly segments")
    assert admin.CreateConnection(**fields, validate_only=True).connection.name == PARTNER
    admin.refusal("GetConnection", "NOT_FOUND", "RESOURCE_NOT_FOUND", name=PARTNER)
    fields["request_id"] = str(uuid.uuid4())
    created = admin.CreateConnection(**fields).connection
    assert admin.CreateConnection(**fields).connection == created, "the repeated request has no second effect"

    change = connection_pb2.Connection(name=PARTNER, display_name="ignored", description="Weekly segments")
    mask = field_mask_pb2.FieldMask(paths=["description"])
    updated = admin.UpdateConnection(connection=change, update_mask=mask).connection
    assert (updated.description, updated.display_name) == ("Weekly segments", created.display_name), updated
    rotated = admin.RotateConnectionCredential(name=PARTNER, credential=credential()).connection
    assert rotated.credential_status.revision > created.credential_status.revision
    assert admin.TestConnection(parent=ORGANIZATION, name=PARTNER).passed


def shares(admin, ann):
    """Shares the connection with contributors, who cannot read its configuration."""
    assert not ann.SearchUsableConnections(parent=ORGANIZATION).usable_connections
    admin.ShareConnection(name=PARTNER, all_contributors=True)
    (usable,) = ann.SearchUsableConnections(parent=ORGANIZATION).usable_connections
    assert (usable.name, usable.connection_type) == (PARTNER, "connectionTypes/sftp"), usable
    ann.refusal("GetConnection", "PERMISSION_DENIED", "ROLE_REQUIRED", name=PARTNER)


def exports_are_made(ann):
    """Creates three exports, previews their schedule and one of them, and runs it. Returns the exports."""
    made = []
    for name in EXPORTS:
        email = export_pb2.PayloadField(field="email", transform=export_pb2.PayloadField.TRANSFORM_SHA256_NORMALIZED)
        table = export_pb2.PayloadTable(table="customers", fields=[email, export_pb2.PayloadField(field="segment")])
        payload = export_pb2.Payload(tables=[table])
        export = export_pb2.Export(display_name=name, connection=PARTNER, payload=payload, schedule=MONDAYS)
        export.destination_settings.update({"folder": "weekly", "file_format": "csv"})
        export_id = name.split("/")[-1]
        made.append(ann.CreateExport(parent=ORGANIZATION, export_id=export_id, export=export).export)
    occurrences = ann.PreviewSchedule(parent=ORGANIZATION, schedule=MONDAYS, count=3).occurrences
    assert len(occurrences) == 3 and occurrences[0].time == made[0].next_run_time
    zone = datetime.timezone.utc
    assert all(found.time.ToDatetime(zone) > datetime.datetime.now(zone) for found in occurrences), occurrences
    (shown,) = ann.PreviewExport(parent=ORGANIZATION, name=EXPORTS[0], rows=2).files
    assert shown.sample_rows == 2 and shown.sample.startswith("email,segment"), shown

    started = ann.RunExport(name=EXPORTS[0]).run
    *_, last = ann.WatchExportRun(name=started.name)
    assert last.run.state == run_pb2.ExportRun.STATE_SUCCEEDED, last
    stats = ann.GetExportRun(name=started.name).run.stats
    assert stats.rows_read == stats.rows_written > 0 and stats.files == 1, stats
    return made


def unshares(admin, ann):
    """Unshares the connection: the exports stay active, and the contributor can only view them."""
    assert admin.UnshareConnection(name=PARTNER, all_contributors=True).affected_export_count == 3
    listed = ann.ListExports(parent=ORGANIZATION).exports
    assert [found.name for found in listed] == EXPORTS
    assert all((found.state, found.caller_access) == (ACTIVE, export_pb2.Export.CALLER_ACCESS_VIEW) for found in listed)
    edit = export_pb2.Export(name=EXPORTS[0], display_name="Mine")
    ann.refusal("UpdateExport", "PERMISSION_DENIED", "NOT_PERMITTED", export=edit)


def removes(admin, ann, exports):
    """Deletes the connection, after the exports that block the deletion are deleted and detached."""
    message, found = admin.refusal("DeleteConnection", "FAILED_PRECONDITION", "CONNECTION_IN_USE", name=PARTNER)
    assert message.startswith("3 exports use this connection"), message
    assert [violation.subject for violation in found["PreconditionFailure"].violations] == EXPORTS, found
    *events, last = admin.StreamBlockingExports(name=PARTNER)
    assert [event.blocking.name for event in events] == EXPORTS, events
    etag = last.summary.blocking_set_etag
    assert last.summary.blocking_export_count == 3 and etag == found["ErrorInfo"].metadata["blocking_set_etag"]

    admin.DeleteExport(name=EXPORTS[0])
    assert admin.DetachExport(name=EXPORTS[1], reason="the partner moves").export.state == INACTIVE
    shown = export_service_pb2.BatchDetachExportsRequest.AttachedSet(connection=PARTNER, blocking_set_etag=etag)
    assert admin.BatchDetachExports(parent=ORGANIZATION, attached_set=shown).detached_count == 1
    for before in exports[1:]:
        export = ann.GetExport(name=before.name).export
        assert export.state == INACTIVE and not export.HasField("next_run_time"), export
        assert (export.owner, export.caller_access) == ("user:ann", export_pb2.Export.CALLER_ACCESS_MANAGE), export
        for field in ["payload", "schedule", "destination_settings"]:
            assert getattr(export, field) == getattr(before, field), export
        ann.refusal("RunExport", "FAILED_PRECONDITION", "EXPORT_INACTIVE", name=before.name)
    admin.DeleteConnection(name=PARTNER)
    admin.refusal("GetConnection", "NOT_FOUND", "RESOURCE_NOT_FOUND", name=PARTNER)


def attaches_again(admin, ann):
    """Attaches an export to another shared connection: it is active again."""
    sharing = connection_pb2.Sharing(members=["user:ann"])
    admin.CreateConnection(**new_connection("other", "Another SFTP", sharing))
    export = ann.AttachExport(name=EXPORTS[1], connection=OTHER).export
    assert export.state == ACTIVE and export.HasField("next_run_time"), export


def ends_at_the_deadline(admin):
    """Follows a stream until the deadline of the call."""
    admin.options["timeout"] = 0.5
    received = []
    try:
        received.extend(admin.StreamBlockingExports(name=OTHER, follow=True))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    else:
        raise AssertionError("the stream ended before the deadline")


def is_told_when_to_retry(admin):
    """Tests a connection more often than the service permits: the error has the minimum delay of the next attempt."""
    admin.options["timeout"] = 30
    try:
        for _ in range(30):
            admin.TestConnection(parent=ORGANIZATION, name=OTHER)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
        retry = details.RetryInfo()
        assert any(detail.Unpack(retry) for detail in rpc_status.from_call(error).details), error
        assert 0 < retry.retry_delay.ToTimedelta().total_seconds() <= 60, retry
    else:
        raise AssertionError("30 tests within a minute were permitted")


if __name__ == "__main__":
    with grpc.insecure_channel(os.environ["ADDRESS"]) as channel:
        admin, ann = Caller(channel, "ADMIN"), Caller(channel, "CONTRIBUTOR")
        connects(admin)
        shares(admin, ann)
        exports = exports_are_made(ann)
        unshares(admin, ann)
        removes(admin, ann, exports)
        attaches_again(admin, ann)
        ends_at_the_deadline(admin)
        is_told_when_to_retry(admin)
    print("walk-through: passed")
