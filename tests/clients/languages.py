"""Runs the section `Clients` of the README, and generated clients.

For each language, the commands of the README generate a client in a temporary folder and run the sample of the README.
Then two programs of the folder of the language beside this file use the client: one calls every RPC, the other is the
walk-through. `languages.py` does this for Python on both databases, and runs the commands for grpcurl and buf curl and
every RPC with these tools. `languages.py go typescript java` does it for the named languages, on SQLite.
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import callers
import every_rpc
import openssh
import servers

PARTNER = "organizations/acme/connections/partner"
EXPORTS = ["organizations/acme/exports/one", "organizations/acme/exports/two"]
SAMPLE_PRINTS = "\n".join(["CONNECTION_IN_USE 2", *EXPORTS]) + "\n"


@dataclasses.dataclass
class Language:
    """A language: its section of the README, and the commands that run its programs."""

    section: str
    every_rpc: list
    walkthrough: list


MAVEN = ["mvn", "--quiet", "compile", "exec:java"]
LANGUAGES = {
    "python": Language("Python", ["python3", "-B", "every_rpc.py"], ["python3", "-B", "walkthrough.py"]),
    "go": Language("Go", ["go", "run", "./everyrpc"], ["go", "run", "./walkthrough"]),
    "typescript": Language("TypeScript", ["npm", "run", "--silent", "every-rpc"], ["npm", "run", "--silent", "walkthrough"]),
    "java": Language("Java", [*MAVEN, "-Dexec.mainClass=EveryRpc"], [*MAVEN, "-Dexec.mainClass=Walkthrough"]),
}


def blocks(section):
    """Returns the code blocks of a section of `Clients` in the README, as pairs of a language and a text."""
    chapter = (servers.ROOT / "README.md").read_text().split("\n## Clients\n", 1)[1].split("\n## ", 1)[0]
    text = chapter.split(f"\n### {section}\n", 1)[1] if section else chapter
    return re.findall(r"```(\w+)\n(.*?)```", text.split("\n### ", 1)[0], re.DOTALL)


def run(command, folder, environment, name):
    """Runs a command in a folder, and returns what it prints, without colours."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{name} failed with {done.returncode}:\n{done.stdout}{done.stderr}"
    return re.sub(r"\x1b\[\d*m", "", done.stdout)


def prepare_sample(server):
    """Creates what the samples use: a connection with two exports. Returns the environment of the samples."""
    admin = callers.Grpcurl(server, "admin", "root")
    connection = {"displayName": "Partner", "connectionType": "connectionTypes/local_directory", "properties": {"directory": "p"}}
    create = {"parent": "organizations/acme", "connectionId": "partner", "connection": connection}
    admin("ConnectionService/CreateConnection", create)
    for name in EXPORTS:
        payload = {"tables": [{"table": "customers"}]}
        export = {"displayName": name, "connection": PARTNER, "payload": payload}
        create = {"parent": "organizations/acme", "exportId": name.split("/")[-1], "export": export}
        admin("ExportService/CreateExport", create)
    return exported(server)


def exported(server):
    """Returns the environment with the variables that the commands before all samples export."""
    ((_, script),) = blocks(None)
    assert "target/debug/outflow" in script, script
    environment = {**server.environment, "OUTFLOW_DATA_DIR": str(server.data_dir)}
    if server.database_url:
        environment["OUTFLOW_DATABASE_URL"] = server.database_url
    script = script.replace("target/debug/outflow", str(servers.BINARY)) + 'printf "%s\\n" "$OUTFLOW" "$OUTFLOW_TOKEN"'
    folder, token = run(["bash", "-euc", script], servers.ROOT, environment, "the exports of the samples").split()
    return {**servers.ENVIRONMENT, "OUTFLOW": folder, "OUTFLOW_TOKEN": token}


def at(server, text):
    """Returns a text of the README with the address of a server."""
    return text.replace("127.0.0.1:50051", server.address)


def sample(server, language, folder, environment):
    """Runs the commands and the sample of a language: the first line of the sample names its file."""
    (_, commands), (_, code) = blocks(LANGUAGES[language].section)
    path = folder / re.match(r"(?://|#) (\S+)\n", code)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    assert "127.0.0.1:50051" in code, code
    path.write_text(at(server, code))
    printed = run(["bash", "-euo", "pipefail", "-c", commands], folder, environment, f"the sample in {language}")
    assert printed.endswith(SAMPLE_PRINTS), printed


def programs(server, ssh, language, folder):
    """Runs the two programs of a language, each in an organization of its own."""
    shutil.copytree(servers.ROOT / "tests/clients" / language, folder, dirs_exist_ok=True)
    for program in ["every_rpc", "walkthrough"]:
        organization = f"{language}-{program}".replace("_", "-")
        every_rpc.add_organization(server, organization)
        environment = {**servers.ENVIRONMENT, "OUTFLOW": str(servers.ROOT), "REQUESTS": str(every_rpc.TABLE)}
        environment |= {"ADDRESS": server.address, "ORGANIZATION": f"organizations/{organization}"}
        for role, subject in every_rpc.SUBJECTS.items():
            environment[f"TOKEN_{role.upper()}"] = server.token(role, subject, organization)
        for field in ["port", "username", "host_key", "private_key"]:
            environment[f"SSH_{field.upper()}"] = str(getattr(ssh, field))
        printed = run(getattr(LANGUAGES[language], program), folder, environment, f"{program} in {language}")
        if program == "every_rpc":
            every_rpc.check_complete(server, language, printed.split())
        else:
            print(f"{printed.strip()} in {language}, on {server.name}")


def commands(server, section, environment):
    """Runs the commands of the README for a tool."""
    ((_, script),) = blocks(section)
    bash = {"cwd": servers.ROOT, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    printed = subprocess.run(["bash", "-c", at(server, script)], **bash).stdout
    for text in ["UpdateConnection", "Weekly segments", "2 exports use", "CONNECTION_IN_USE", *EXPORTS]:
        assert text in printed, f"{text} is not in what the commands for {section} print:\n{printed}"


def check(server, ssh, names):
    """Runs everything of some languages against one server."""
    environment = prepare_sample(server)
    for language in names:
        with tempfile.TemporaryDirectory(prefix=f"outflow-{language}-") as folder:
            sample(server, language, pathlib.Path(folder), environment)
            programs(server, ssh, language, pathlib.Path(folder))
    if not sys.argv[1:]:
        for tool in callers.TOOLS:
            commands(server, tool.name, environment)
            every_rpc.call_all(server, tool)
        print(f"commands of the README for grpcurl and buf curl, on {server.name}")
    ssh.clear()


if __name__ == "__main__":
    with openssh.serving() as ssh:
        servers.ENVIRONMENT["OUTFLOW_OUTBOUND_ALLOWED"] = f"*=127.0.0.0/8:{ssh.port}"
        if sys.argv[1:]:
            with servers.serving() as server:
                check(server, ssh, sys.argv[1:])
        else:
            servers.on_each_database(lambda server: check(server, ssh, ["python"]))
