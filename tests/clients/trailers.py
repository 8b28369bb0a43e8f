"""TRAILERS: a generated Python client with default options receives the largest errors and pages completely.

By default, clients refuse trailers of more than 8 KiB and messages of more than 4 MiB.
"""

import importlib
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import struct_pb2
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status

import servers

LONGEST_ID = 63
ORGANIZATION = "o" * LONGEST_ID
PARENT = f"organizations/{ORGANIZATION}"
NAME = "🦀" * 120  # four bytes each
BLOCKERS = 25
NAMED = 20


def generate():
    """Generates the modules of the API with grpc_tools, and imports them."""
    protos = sorted(map(str, servers.ROOT.glob("proto/outflow/v1/*.proto")))
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(servers.ROOT / "proto")]
    with tempfile.TemporaryDirectory(prefix="outflow-python-") as folder:
        subprocess.run([*protoc, f"--python_out={folder}", f"--grpc_python_out={folder}", *protos], check=True)
        sys.path.insert(0, folder)
        names = ["connection", "connection_service", "export", "export_service"]
        messages = [importlib.import_module(f"outflow.v1.{name}_pb2") for name in names]
        services = [importlib.import_module(f"outflow.v1.{name}_service_pb2_grpc") for name in ["connection", "export"]]
        sys.path.remove(folder)
    return messages, services


(connection_pb, connections_pb, export_pb, exports_pb), (connections_grpc, exports_grpc) = generate()


def check(server):
    """Receives the largest errors and pages with a client that has default options."""
    with grpc.insecure_channel(server.address) as channel:
        token = server.token("admin", "root", ORGANIZATION)
        caller = {"metadata": [("authorization", f"Bearer {token}")]}
        connections = connections_grpc.ConnectionServiceStub(channel)
        exports = exports_grpc.ExportServiceStub(channel)
        connection = connect(connections, caller)
        for number in range(BLOCKERS):
            create_export(exports, caller, connection, f"{number:a>{LONGEST_ID}}", payload())
        refusal_is_whole(connections, caller, connection)
        violations_are_whole(exports, caller, connection)
        page_is_whole(exports, caller, connection)
    print(f"gate TRAILERS, {server.name}: {NAMED} blocking exports of the longest names, pages of the largest exports")


def connect(connections, caller):
    properties = {"host": "sftp.partner.example", "username": "acme", "host_key": "SHA256:" + 43 * "A"}
    connection = connection_pb.Connection(display_name=NAME, connection_type="connectionTypes/sftp")
    connection.properties.update(properties)
    credential = connection_pb.CredentialInput(auth_method="password")
    credential.inline.values["password"] = "correct horse"
    request = connections_pb.CreateConnectionRequest(
        parent=PARENT, connection_id="c" * LONGEST_ID, connection=connection, credential=credential
    )
    return connections.CreateConnection(request, **caller).connection.name


def payload(filters=0, value=None):
    table = export_pb.PayloadTable(table="customers")
    for _ in range(filters):
        condition = table.filters.add(field="segment", comparison=export_pb.PayloadFilter.COMPARISON_IN)
        condition.values.extend([value] * 900)
    return export_pb.Payload(tables=[table])


def create_export(exports, caller, connection, export_id, content, display_name=NAME):
    export = export_pb.Export(display_name=display_name, connection=connection, payload=content)
    request = exports_pb.CreateExportRequest(parent=PARENT, export_id=export_id, export=export)
    return exports.CreateExport(request, **caller).export


def refusal(call, request, caller):
    """Returns the code and the details, by type, of a call that must fail."""
    try:
        call(request, **caller)
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        assert status is not None, error
        unpacked = {}
        for detail in status.details:
            name = detail.TypeName().removeprefix("google.rpc.")
            message = getattr(details, name)()
            assert detail.Unpack(message)
            unpacked[name] = message
        return error.code(), unpacked
    raise AssertionError("the call succeeded")


def refusal_is_whole(connections, caller, connection):
    request = connections_pb.DeleteConnectionRequest(name=connection)
    code, unpacked = refusal(connections.DeleteConnection, request, caller)
    assert code == grpc.StatusCode.FAILED_PRECONDITION, code
    info = unpacked["ErrorInfo"]
    assert (info.reason, info.domain) == ("CONNECTION_IN_USE", "outflow")
    assert info.metadata["blocking_export_count"] == str(BLOCKERS) and info.metadata["blocking_set_etag"]
    names = [violation.subject for violation in unpacked["PreconditionFailure"].violations]
    assert len(set(names)) == NAMED, len(names)
    assert all(len(name) == len(PARENT) + len("/exports/") + LONGEST_ID for name in names)
    assert unpacked["Help"].links and unpacked["ResourceInfo"].resource_name == connection


def violations_are_whole(exports, caller, connection):
    fields = [export_pb.PayloadField(field="") for _ in range(900)]
    table = export_pb.PayloadTable(table="customers", fields=fields)
    export = export_pb.Export(display_name=NAME, connection=connection, payload=export_pb.Payload(tables=[table]))
    request = exports_pb.CreateExportRequest(parent=PARENT, export=export)
    code, unpacked = refusal(exports.CreateExport, request, caller)
    assert code == grpc.StatusCode.INVALID_ARGUMENT, code
    shown, total = unpacked["BadRequest"].field_violations, int(unpacked["ErrorInfo"].metadata["violation_count"])
    assert 10 < len(shown) < total and total >= 900, (len(shown), total)


def page_is_whole(exports, caller, connection):
    # Short numbers have the largest ratio of size on the wire to size in the database.
    texts, numbers = struct_pb2.Value(string_value="x" * 55), struct_pb2.Value(number_value=7)
    for number in range(60):
        content = payload(1, texts) if number % 2 else payload(5, numbers)
        made = create_export(exports, caller, connection, f"large-{number}", content)
        assert made.ByteSize() > 48 * 1024, made.ByteSize()
    seen, token, pages = 0, "", 0
    while token or not pages:
        request = exports_pb.ListExportsRequest(parent=PARENT, page_size=1000, page_token=token)
        page = exports.ListExports(request, **caller)
        assert page.ByteSize() < 4 * 1024 * 1024
        seen, token, pages = seen + len(page.exports), page.next_page_token, pages + 1
    assert (seen, pages > 1) == (BLOCKERS + 60, True), (seen, pages)


if __name__ == "__main__":
    # The payloads suit no dataset.
    servers.ENVIRONMENT["OUTFLOW_DATASET_LOCATION"] = "none"
    servers.on_each_database(check, *sys.argv[1:])
