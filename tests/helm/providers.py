"""Compares the chart with the examples of identity providers in README.md.

`providers.py values FOLDER` writes each example as a configuration file and as values of the chart, and prints their names.
`providers.py compare OBJECTS EXAMPLE BINARY` checks that the binary reads the same identity from the environment of the
rendered Deployment as from the example.
`providers.py check OBJECTS BINARY` checks that the binary accepts this environment, and prints its issuers unchanged.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

# Settings of an issuer whose values are below jwks.
KEY_SET = {"jwks_url": "url"}


def examples():
    """Returns the examples by their names: those that set an identity with tokens."""
    readme = pathlib.Path("README.md").read_text(encoding="utf-8")
    found = re.findall(r'^```toml\n# ([^\n]+)\n(identity_mode = "jwt"\n.*?)^```$', readme, re.M | re.S)
    return dict(found)


def camel(key):
    return re.sub(r"_(.)", lambda match: match[1].upper(), key)


def values_of(settings):
    """Converts the settings of an issuer to values: the same names in camelCase."""
    values = {camel(key): value for key, value in settings.items() if key not in KEY_SET}
    jwks = {KEY_SET[key]: value for key, value in settings.items() if key in KEY_SET}
    return values | ({"jwks": jwks} if jwks else {})


def chart_values(example):
    jwt = example["jwt"]
    if "issuers" in jwt:
        values = {"issuers": {name: values_of(settings) for name, settings in jwt["issuers"].items()}}
    else:
        values = {"groupsClaim": "", **values_of(jwt)}
    identity = {"mode": example["identity_mode"], "jwt": values}
    keys = {"existingSecret": "outflow-keys", "primary": "k0001"}
    return {"identity": identity, "keys": keys, "tls": {"existingSecret": "outflow-tls"}}


def write(folder):
    folder.mkdir()
    for name, text in examples().items():
        file = re.sub(r"[^a-z0-9]+", "-", name.lower())
        (folder / f"{file}.toml").write_text(text, encoding="utf-8")
        (folder / f"{file}.json").write_text(json.dumps(chart_values(tomllib.loads(text))), encoding="utf-8")
        print(file)


def unordered(key, value):
    """Returns a setting in a form that is equal for equal settings."""
    if key == "jwt_issuers":
        value = tomllib.loads(value)
        return {name: {k: unordered(k, v) for k, v in settings.items()} for name, settings in value.items()}
    if isinstance(value, dict):
        return sorted(f"{k}={v}" for k, v in value.items())
    if key.endswith(("audience", "_values", "_claims")):
        return sorted(value if isinstance(value, list) else value.split(","))
    return value


def identity(binary, arguments, environment):
    """Returns the settings of the identity that the binary prints."""
    out = subprocess.run([binary, "config", "print", *arguments], env=environment, check=True, capture_output=True, text=True)
    settings = tomllib.loads(out.stdout)
    return {k: unordered(k, v) for k, v in settings.items() if k.startswith(("identity_", "jwt_", "mtls_"))}


def environment_of(objects):
    """Returns the variables of the identity, and the Entra tenants, as Kubernetes sets them in the container."""
    docs = [json.loads(line) for line in open(objects, encoding="utf-8")]
    pod = next(d for d in docs if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    found = {e["name"]: e["value"].replace("$$", "$") for e in pod["containers"][0]["env"] if "value" in e}
    return {k: v for k, v in found.items() if re.match("OUTFLOW_(IDENTITY|JWT|MTLS|ENTRA)", k)}


def compare(objects, example, binary):
    base = {"PATH": os.environ["PATH"]}
    expected = identity(binary, ["--config", example], base)
    found = identity(binary, [], base | environment_of(objects))
    assert found == expected, f"{found}\n{expected}"
    assert found["identity_mode"] == "jwt" and ("jwt_issuer" in found) != ("jwt_issuers" in found), found
    check(objects, binary)


def check(objects, binary):
    environment = environment_of(objects)
    base = {"PATH": os.environ["PATH"]} | environment
    if "OUTFLOW_JWT_ISSUERS" in environment:
        assert identity(binary, [], base)["jwt_issuers"] == unordered("jwt_issuers", environment["OUTFLOW_JWT_ISSUERS"])
    subprocess.run([binary, "config", "check"], env=base, check=True)


COMMANDS = {"values": lambda folder: write(pathlib.Path(folder)), "compare": compare, "check": check}
COMMANDS[sys.argv[1]](*sys.argv[2:])
