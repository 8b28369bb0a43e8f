"""METRICS: a scrape of the admin listener parses with the Prometheus client, and has exactly the documented metrics."""

import re
import sys
import time
import tomllib
import urllib.request

import grpc
from prometheus_client.parser import text_string_to_metric_families

import servers
import trailers


def documented():
    """Returns the kind and the labels of each documented metric, by its name in the output."""
    listed = tomllib.loads((servers.ROOT / "src/telemetry/metrics.toml").read_text())["metric"]
    metrics = {}
    for metric in listed:
        name = metric["name"].replace(".", "_") + ("_seconds" if metric.get("seconds") else "")
        metrics[name] = (metric["kind"], {label.replace(".", "_") for label in metric.get("labels", [])})
    return metrics


def scrape(server):
    """Returns the families of a scrape by name."""
    found = re.search(r"admin listener started.* address=(\S+)", "".join(server.log))
    with urllib.request.urlopen(f"http://{found[1]}/metrics") as response:
        assert response.status == 200
        content_type = response.headers["content-type"]
        assert content_type.startswith("text/plain"), content_type
        text = response.read().decode()
    return text, {family.name: family for family in text_string_to_metric_families(text)}


def call(server):
    """Makes calls that succeed, are denied and are rejected, opens a stream, and runs an export."""
    with grpc.insecure_channel(server.address) as channel:
        connections = trailers.connections_grpc.ConnectionServiceStub(channel)
        caller = {"metadata": [("authorization", f"Bearer {server.token('admin', 'root', trailers.ORGANIZATION)}")]}
        name = trailers.connect(connections, caller)
        request = trailers.connections_pb.StreamBlockingExportsRequest(name=name)
        assert list(connections.StreamBlockingExports(request, **caller))
        run(channel, connections, caller)
        request = trailers.connections_pb.GetConnectionRequest(name=name)
        viewer = {"metadata": [("authorization", f"Bearer {server.token('viewer', 'vera', trailers.ORGANIZATION)}")]}
        anyone = {"metadata": [("authorization", "Bearer x.y.z")]}
        for metadata, code in [(viewer, "PERMISSION_DENIED"), (anyone, "UNAUTHENTICATED")]:
            actual, _ = trailers.refusal(connections.GetConnection, request, metadata)
            assert actual == grpc.StatusCode[code], actual


def run(channel, connections, caller):
    """Runs an export into a local directory to its end. Whether it succeeds depends on the datasets of the server."""
    parent = f"organizations/{trailers.ORGANIZATION}"
    connection = trailers.connection_pb.Connection(display_name="Directory", connection_type="connectionTypes/local_directory")
    request = trailers.connections_pb.CreateConnectionRequest(parent=parent, connection=connection)
    connection = connections.CreateConnection(request, **caller).connection.name
    exports = trailers.exports_grpc.ExportServiceStub(channel)
    payload = trailers.export_pb.Payload(tables=[trailers.export_pb.PayloadTable(table="customers", fields=[trailers.export_pb.PayloadField(field="email")])])
    export = trailers.export_pb.Export(display_name="Directory", connection=connection, payload=payload)
    validate = trailers.exports_pb.CreateExportRequest(parent=parent, export=export)
    export = exports.CreateExport(validate, **caller).export.name
    started = exports.RunExport(trailers.exports_pb.RunExportRequest(name=export), **caller).run.name
    for _ in exports.WatchExportRun(trailers.exports_pb.WatchExportRunRequest(name=started), **caller):
        pass


def value(families, name, **labels):
    """Returns the value of one sample."""
    family = families[name.removesuffix("_total").removesuffix("_count")]
    samples = [sample for sample in family.samples if sample.name == name and sample.labels.items() >= labels.items()]
    assert len(samples) == 1, (name, labels, samples)
    return samples[0].value


def check(server):
    """Compares a scrape with the list of metrics, and some values with the calls that were made."""
    call(server)
    metrics = documented()
    for _ in range(100):  # background tasks run in the first seconds
        text, families = scrape(server)
        if metrics.keys() <= families.keys():
            break
        time.sleep(0.1)
    assert families.keys() == metrics.keys(), families.keys() ^ metrics.keys()
    for name, (kind, labels) in metrics.items():
        family = families[name]
        assert (family.type, bool(family.documentation)) == (kind, True), family
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == labels, (sample, labels)
    for data in [trailers.ORGANIZATION, "root", "partner"]:
        assert data not in text, data

    service = "outflow.v1.ConnectionService"
    for method, code, calls in [
        ("CreateConnection", "OK", 2),
        ("GetConnection", "PERMISSION_DENIED", 1),
        ("GetConnection", "UNAUTHENTICATED", 1),
        ("StreamBlockingExports", "OK", 1),
    ]:
        labels = {"rpc_method": f"{service}/{method}", "rpc_response_status_code": code}
        assert value(families, "rpc_server_call_duration_seconds_count", **labels) == calls, labels
    assert value(families, "rpc_server_streams_open") == 0
    assert value(families, "rpc_server_permits_used") == 0 < value(families, "rpc_server_permits_max")
    assert value(families, "txn_retry_total") == value(families, "denied_dropped_total") == 0
    pools = {sample.labels["db_client_connection_pool_name"] for sample in families["db_client_connection_max"].samples}
    assert pools == {"read", "write", "readiness"} | ({"background"} if server.database_url else set()), pools
    tasks = {sample.labels["task"] for sample in families["background_task_runs"].samples}
    assert {"connection_watch", "key_usage", "readiness", "retention"} <= tasks, tasks
    samples = sum(len(family.samples) for family in families.values())
    print(f"gate METRICS, {server.name}: {len(metrics)} metrics, {samples} samples")


if __name__ == "__main__":
    # The payload suits no dataset.
    servers.ENVIRONMENT["OUTFLOW_DATASET_LOCATION"] = "none"
    servers.on_each_database(check, *sys.argv[1:])
