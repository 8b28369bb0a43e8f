"""Starts an OpenSSH server for the client tests: SFTP with one user key, on a free port of this machine."""

import contextlib
import dataclasses
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

SSHD = "/usr/sbin/sshd"  # must be started by an absolute path
UNPRIVILEGED = ("nobody", 65534)  # the user that logs in if the tests run as root


@dataclasses.dataclass
class OpenSsh:
    """A server, with the directory that it serves, and what a connection to it needs."""

    directory: pathlib.Path
    port: int
    username: str
    host_key: str
    private_key: str

    def files(self):
        """Returns the content of each file by its path below the directory."""
        paths = [path for path in sorted(self.directory.rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in paths}

    def clear(self):
        """Removes all files."""
        for path in self.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def generate_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)


@contextlib.contextmanager
def serving():
    """Runs a server with a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="outflow-openssh-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        directory = folder / "files"
        directory.mkdir()
        username = getpass.getuser()
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
            username, user_id = UNPRIVILEGED
            os.chown(directory, user_id, user_id)
        for name in ["host", "user"]:
            generate_key(folder / name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        configuration = f"""ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp -d {directory}
"""
        (folder / "sshd_config").write_text(configuration)
        log = folder / "log"
        process = subprocess.Popen([SSHD, "-D", "-f", folder / "sshd_config", "-E", log], stdin=subprocess.DEVNULL)
        try:
            wait_for(port, process, log)
            printed = subprocess.run(["ssh-keygen", "-lf", folder / "host"], check=True, capture_output=True, text=True)
            yield OpenSsh(directory, port, username, printed.stdout.split()[1], (folder / "user").read_text())
        finally:
            process.kill()
            process.wait()


def wait_for(port, process, log):
    """Waits until the server accepts connections."""
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    raise AssertionError("sshd does not listen: " + log.read_text())
