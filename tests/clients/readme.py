"""The walk-through of the README as a reader pastes it: in bash, with grpcurl, against the running binary."""

import os
import re
import subprocess
import sys

import servers


def walkthrough():
    """The first block of bash in the README's chapter of that name."""
    readme = (servers.ROOT / "README.md").read_text()
    chapter = readme.split("\n## The walk-through\n", 1)[1]
    return re.search(r"```bash\n(.*?)```", chapter, re.DOTALL)[1]


def paste(server):
    """Runs it, and holds what it prints against what its comments say."""
    script = walkthrough()
    # A reader has the server where `cargo run` puts it.
    for written, here in [("target/debug/outflow", servers.BINARY), ("127.0.0.1:50051", server.address)]:
        assert written in script, f"{written} is not in the README's walk-through"
        script = script.replace(written, here)
    environment = {**servers.ENVIRONMENT, "OUTFLOW_DATA_DIR": str(server.data_dir)}
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
    assert "STATE_INACTIVE" in states and states[-1] == "STATE_ACTIVE", states
    assert '"detachedCount": "1"' in done.stdout and '"usableConnections"' in done.stdout
    print(f"the README's walk-through, on {server.name}: {len(states)} answers with a state, {len(codes)} refusals")


if __name__ == "__main__":
    os.chdir(servers.ROOT)
    servers.on_each_database(paste, *sys.argv[1:])
