"""Starts servers for the client tests: the binary on free ports, on SQLite and on PostgreSQL.

The binary is the debug build of cargo, or $BINARY. PostgreSQL is a temporary cluster of the installed version.
"""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("BINARY") or os.path.join(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "debug/outflow")
UNPRIVILEGED_ID = 65534  # PostgreSQL does not run as root
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("OUTFLOW_")}


class Server:
    """A server, with its address, files, database and tokens."""

    def __init__(self, data_dir, database_url):
        self.data_dir = pathlib.Path(data_dir)
        self.database_url = database_url  # None: embedded SQLite
        self.name = "PostgreSQL" if database_url else "SQLite"
        self.settings = ["--data-dir", str(data_dir), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        self.settings += ["--database-url", database_url] if database_url else []
        self.environment = ENVIRONMENT
        if database_url:  # what only the embedded default has by itself
            local = {"OUTFLOW_LOCAL_DIRECTORY_ROOT": f"{data_dir}/outbox", "OUTFLOW_DATASET_LOCATION": f"{data_dir}/datasets"}
            self.environment = {**local, **ENVIRONMENT}
        self.log = []
        self.address = None

    def command(self, *arguments):
        """Runs a subcommand of the binary, and returns its output."""
        command = [BINARY, *arguments, *self.settings]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"outflow {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def token(self, role, subject, organization="acme"):
        """Mints a token of the development identity."""
        who = ["--role", role, "--subject", subject, "--organization", organization]
        return self.command("token", "mint", *who)

    def start(self):
        """Starts the server, and waits until it prints its address."""
        start = {"env": self.environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen([BINARY, "serve", *self.settings], **start)
        for line in self.process.stdout:
            self.log.append(line)
            found = re.search(r"grpcurl .* (127\.0\.0\.1:\d+)", line)
            if found:
                self.address = found[1]
                break
        assert self.address, "the server did not start:\n" + "".join(self.log)
        threading.Thread(target=lambda: self.log.extend(self.process.stdout), daemon=True).start()

    def stop(self):
        """Stops the server with SIGTERM, and checks its exit code."""
        self.process.terminate()
        try:
            code = self.process.wait(timeout=40)
        finally:
            self.process.kill()
        assert code == 0, f"the server exited with code {code}:\n" + "".join(self.log)

    def dump(self):
        """Returns all bytes of the database: the files of SQLite, or the output of pg_dump."""
        if self.database_url:
            dump = [program("pg_dump"), "--dbname", self.database_url]
            return subprocess.run(dump, check=True, capture_output=True).stdout
        return b"".join(path.read_bytes() for path in sorted(self.data_dir.glob("outflow.db*")))


@contextlib.contextmanager
def serving(database_url=None):
    """Runs a server with its own files, on embedded SQLite unless a URL is given."""
    with tempfile.TemporaryDirectory(prefix="outflow-") as data_dir:
        server = Server(data_dir, database_url)
        if database_url:
            server.command("keys", "generate")
            (server.data_dir / "outbox").mkdir()
            copy_sample(server.data_dir / "datasets")
        server.start()
        try:
            yield server
        except BaseException:
            server.process.kill()
            print("".join(server.log[-40:]))
            raise
        server.stop()


def copy_sample(folder):
    """Copies the datasets that a server on embedded SQLite writes on its first start."""
    with serving() as embedded:
        sample = embedded.data_dir / "datasets"
        if sample.exists():  # not if another source of datasets is configured
            shutil.copytree(sample, folder)


def on_each_database(test, database_url=None):
    """Runs a test on SQLite and on a temporary PostgreSQL cluster, or on the database of a URL."""
    if database_url:
        with serving(database_url) as server:
            test(server)
        return
    with serving() as server:
        test(server)
    with postgresql() as url, serving(url) as server:
        test(server)


@contextlib.contextmanager
def postgresql():
    """Yields the URL of an empty database on a temporary cluster, which stops when this process ends for any reason."""
    folder = tempfile.mkdtemp(prefix="outflow-postgresql-")
    as_user = {}
    if os.getuid() == 0:
        os.chown(folder, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        as_user = {"user": UNPRIVILEGED_ID, "group": UNPRIVILEGED_ID, "extra_groups": []}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = f"""
        {program("initdb")} -U postgres -A trust --no-sync -E UTF8 --locale=C -D {folder}/data >&2 || exit
        {program("pg_ctl")} start -w -D {folder}/data -l {folder}/log -o '-F -k {folder} -p {port} -h 127.0.0.1' >&2 || exit
        echo ready
        cat >/dev/null
        {program("pg_ctl")} stop -m immediate -D {folder}/data >&2"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    shell = subprocess.Popen(["sh", "-c", script], cwd="/", start_new_session=True, **pipes, **as_user)
    try:
        log = pathlib.Path(folder, "log")
        started = shell.stdout.readline() == b"ready\n"
        assert started, "PostgreSQL did not start: " + (log.read_text() if log.exists() else "initdb failed")
        yield f"postgres://postgres@127.0.0.1:{port}/postgres"
    finally:
        shell.stdin.close()  # stops the cluster, as does the end of this process
        shell.wait()
        shutil.rmtree(folder)


def program(name):
    """Returns the path of a program of the newest installed PostgreSQL."""
    installed = pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = sorted(installed, key=lambda path: int(path.parts[4]))[-1:]
    found = str(newest[0]) if newest else shutil.which(name)
    assert found, f"{name} is missing: install PostgreSQL 15 or later (Debian: postgresql)"
    return found
