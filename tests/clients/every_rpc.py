"""Calls every RPC of the API once with grpcurl or buf curl. `languages.py` runs this, and the same with generated clients.

`requests.json` is the table of the calls, in order, each with a method, the role of its caller, and a request in the JSON
format of Protocol Buffers. In a request, `{parent}` is the organization, and `{saved}` is the field of an earlier response
that its `save` names.
"""

import json
import shutil
import subprocess

import servers

TABLE = servers.ROOT / "tests/clients/requests.json"
SUBJECTS = {"admin": "root", "contributor": "ann", "viewer": "vera"}


def add_organization(server, organization):
    """Gives an organization the sample of datasets."""
    datasets = server.data_dir / "datasets"
    shutil.copytree(datasets / "acme", datasets / organization)


def rpcs(server):
    """Returns the RPCs of the API, as the server lists them by reflection."""
    listed = [line for service in grpcurl_list(server) if service.startswith("outflow.") for line in grpcurl_list(server, service)]
    return {"/".join(method.rsplit(".", 1)) for method in listed}


def grpcurl_list(server, *service):
    """Returns the services of a server, or the methods of one service."""
    command = ["grpcurl", "-plaintext", server.address, "list", *service]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def check_complete(server, client, called):
    """Fails if a client did not call every RPC."""
    missing = rpcs(server) - set(called)
    assert not missing, f"{client} did not call {sorted(missing)}: add a call to {TABLE.relative_to(servers.ROOT)}"
    print(f"every RPC with {client}, on {server.name}: {len(rpcs(server))} RPCs")


def call_all(server, tool):
    """Calls every RPC with a tool, in an organization of its own."""
    organization, saved, called = tool.name.replace(" ", "-"), "", []
    add_organization(server, organization)
    tools = {role: tool(server, role, subject, organization) for role, subject in SUBJECTS.items()}
    for call in json.loads(TABLE.read_text()):
        request = json.dumps(call["request"]).replace("{parent}", f"organizations/{organization}").replace("{saved}", saved)
        answers = tools[call["caller"]].stream(call["method"].removeprefix("outflow.v1."), json.loads(request))
        assert answers, f"{call['method']} returned no message"
        if "save" in call:
            saved = answers[0]
            for field in call["save"]:
                saved = saved[field]
        called.append(call["method"])
    check_complete(server, tool.name, called)
