"""Calls methods of a server with grpcurl or buf curl, which read the API by reflection."""

import base64
import json
import subprocess

from google.protobuf import any_pb2, json_format
from google.rpc import code_pb2
from google.rpc import error_details_pb2 as details


class Refused(Exception):
    """A call that failed, with the name of its code, its message, and its details by type."""

    def __init__(self, code, message, unpacked):
        super().__init__(f"{code}: {message} {unpacked}")
        self.code, self.message = code, message
        self.details = {type(detail).__name__: detail for detail in unpacked}

    @property
    def reason(self):
        """Returns `ErrorInfo.reason`."""
        return self.details["ErrorInfo"].reason


class Caller:
    """Calls methods with a token of one role and subject. A subclass runs a tool."""

    def __init__(self, server, role, subject, organization="acme"):
        self.address, self.token = server.address, server.token(role, subject, organization)

    def stream(self, method, request, *options):
        """Calls a method, and returns all messages of its response in the JSON format of Protocol Buffers."""
        done = subprocess.run(self.command(method, request, *options), capture_output=True, text=True)
        if done.returncode != 0:
            raise self.refused(json.loads(done.stderr))
        messages, rest = [], done.stdout.strip()
        while rest:
            message, end = json.JSONDecoder().raw_decode(rest)
            messages.append(message)
            rest = rest[end:].strip()
        return messages

    def __call__(self, method, request):
        """Calls a unary method, and returns its response."""
        (answer,) = self.stream(method, request)
        return answer

    def error(self, method, request, *options):
        """Calls a method that must fail, and returns the error."""
        try:
            self.stream(method, request, *options)
        except Refused as refused:
            return refused
        raise AssertionError(f"{method} succeeded")

    def refusal(self, method, request, code, reason):
        """Calls a method that must fail with a code and a reason, and returns the error."""
        refused = self.error(method, request)
        assert (refused.code, refused.reason) == (code, reason), refused
        return refused


class BufCurl(Caller):
    """Calls methods with buf curl."""

    name = "buf curl"
    one_second = ["--timeout", "1s"]

    def command(self, method, request, *options):
        """Returns the command of a call. `method` has no package."""
        options = ["--protocol", "grpc", "--http2-prior-knowledge", "--emit-defaults", *options]
        header = ["--header", f"authorization: Bearer {self.token}"]
        url = f"http://{self.address}/outflow.v1.{method}"
        return ["buf", "curl", *options, *header, "--data", json.dumps(request), url]

    @staticmethod
    def refused(error):
        """Converts the printed error: the details are in base64."""
        unpacked = []
        for detail in error.get("details", []):
            message = getattr(details, detail["type"].removeprefix("google.rpc."))
            unpacked.append(message.FromString(base64.b64decode(detail["value"] + "==")))
        return Refused(error["code"].upper(), error["message"], unpacked)


class Grpcurl(Caller):
    """Calls methods with grpcurl."""

    name = "grpcurl"
    one_second = ["-max-time", "1"]

    def command(self, method, request, *options):
        """Returns the command of a call. `method` has no package."""
        options = ["-plaintext", "-emit-defaults", "-format-error", *options]
        header = ["-H", f"authorization: Bearer {self.token}"]
        data = ["-d", json.dumps(with_mask_of_grpcurl(request))]
        return ["grpcurl", *options, *header, *data, self.address, f"outflow.v1.{method}"]

    @staticmethod
    def refused(error):
        """Converts the printed error, a `google.rpc.Status`: the details are in JSON."""
        unpacked = []
        for detail in error.get("details", []):
            packed = json_format.ParseDict(detail, any_pb2.Any())
            message = getattr(details, packed.TypeName().removeprefix("google.rpc."))()
            assert packed.Unpack(message)
            unpacked.append(message)
        return Refused(code_pb2.Code.Name(error["code"]), error["message"], unpacked)


def with_mask_of_grpcurl(request):
    """Returns a request whose mask has the form of grpcurl, which does not know the text of a mask."""
    if "updateMask" not in request:
        return request
    return {**request, "updateMask": {"paths": [snake(path) for path in request["updateMask"].split(",")]}}


def snake(path):
    """Returns the name of a field in the API by its name in JSON."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in path)


TOOLS = [BufCurl, Grpcurl]
