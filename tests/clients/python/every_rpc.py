"""Makes the calls of `requests.json` with a client that grpc_tools generates, and prints the name of each method."""

import json
import os

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from outflow.v1 import audit_service_pb2_grpc as audit
from outflow.v1 import connection_service_pb2_grpc as connections
from outflow.v1 import export_service_pb2_grpc as exports
from outflow.v1 import identity_service_pb2_grpc as identity

STUBS = {
    "outflow.v1.AuditService": audit.AuditServiceStub,
    "outflow.v1.ConnectionService": connections.ConnectionServiceStub,
    "outflow.v1.ExportService": exports.ExportServiceStub,
    "outflow.v1.IdentityService": identity.IdentityServiceStub,
}


def call(channel, entry, saved):
    """Makes a call, and returns the first message of its response."""
    service, method = entry["method"].split("/")
    descriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    text = json.dumps(entry["request"]).replace("{parent}", os.environ["ORGANIZATION"]).replace("{saved}", saved)
    request = json_format.Parse(text, message_factory.GetMessageClass(descriptor.input_type)())
    metadata = [("authorization", f"Bearer {os.environ['TOKEN_' + entry['caller'].upper()]}")]
    answer = getattr(STUBS[service](channel), method)(request, metadata=metadata, timeout=30)
    return list(answer)[0] if descriptor.server_streaming else answer


if __name__ == "__main__":
    saved = ""
    with open(os.environ["REQUESTS"], encoding="utf-8") as table, grpc.insecure_channel(os.environ["ADDRESS"]) as channel:
        for entry in json.load(table):
            answer = call(channel, entry, saved)
            if "save" in entry:
                saved = answer
                for field in entry["save"]:
                    saved = getattr(saved, field)
            print(entry["method"])
