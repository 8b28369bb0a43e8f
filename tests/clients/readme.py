"""Runs the walk-through of the README in bash, with grpcurl, against the binary."""

import os
import re
import subprocess
import sys

import servers


def walkthrough():
    """Returns the first bash block of the section `The walk-through` in the README."""
    readme = (servers.ROOT / "README.md").read_text()
    chapter = readme.split("\n## The walk-through\n", 1)[1]
    return re.search(r"```bash\n(.*?)```", chapter, re.DOTALL)[1]


def paste(server):
    """Runs the walk-through, and checks its output, including the errors that its comments name."""
    script = walkthrough()
    # The README uses the binary, the address and the files of `cargo run`.
    places = [("target/debug/outflow", servers.BINARY), ("127.0.0.1:50051", server.address)]
    for written, here in [*places, ("outflow-data", str(server.data_dir))]:
        assert written in script, f"{written} is not in the walk-through of the README"
        script = script.replace(written, here)
    environment = {**server.environment, "OUTFLOW_DATA_DIR": str(server.data_dir), "OUTFLOW_LISTEN": server.address}
    if server.database_url:
        environment["OUTFLOW_DATABASE_URL"] = server.database_url
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    printed = done.stdout + done.stderr
    refused = re.findall(r"#\s+([A-Z_]+)$", script, re.MULTILINE)
    codes = re.findall(r"Code: (\w+)", done.stderr)
    assert refused == ["PERMISSION_DENIED", "PERMISSION_DENIED", "CONNECTION_IN_USE"], refused
    assert codes == ["PermissionDenied", "PermissionDenied", "FailedPrecondition"], printed
    assert "3 exports use this connection" in printed and "sftp.partner.example" in printed
    states = re.findall(r'"state": "(\w+)"', done.stdout)
    assert "STATE_INACTIVE" in states and "STATE_ACTIVE" in states and states[-1] == "STATE_SUCCEEDED", states
    assert '"detachedCount": "1"' in done.stdout and '"usableConnections"' in done.stdout
    assert '"principal": "root"' in done.stdout and '"ROLE_ADMIN"' in done.stdout, done.stdout
    owners = re.findall(r'"owner": "(\S+)"', done.stdout)
    assert owners[0] == "user:ann" and "group:marketing" in owners and '"article": "' in done.stdout, owners
    assert '"passed": true' in done.stdout and "OUTCOME_FAILED" not in done.stdout
    sample = re.search(r'"sample": "(.*)"', done.stdout)[1].replace("\\r\\n", "\r\n")
    written = (server.data_dir / "outbox/acme/partner/customers.csv").read_bytes().decode()
    assert written.startswith(sample) and sample.startswith("email_sha256,segment\r\n"), sample
    rows = written.count("\n") - 1
    assert f"SUCCEEDED, attempt 1: {rows} rows written, " in done.stdout, done.stdout
    assert f'"rowsWritten": "{rows}"' in done.stdout and rows > 100, rows
    print(f"walk-through of the README, {server.name}: {len(states)} responses with a state, {len(codes)} errors")


if __name__ == "__main__":
    os.chdir(servers.ROOT)
    servers.on_each_database(paste, *sys.argv[1:])
