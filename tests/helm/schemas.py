"""Writes the schemas of the newest four minor versions of Kubernetes for kubeconform: `schemas.py FOLDER`.

The schemas are those of the package kubernetes-validate, which refuse unknown fields. References are made relative, because
kubeconform would otherwise fetch them. Prints the versions.
"""

import importlib.resources
import json
import pathlib
import re
import sys

FOLDERS = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
MINORS = 4


def minor(name):
    match = re.fullmatch(r"v1\.(\d+)\.0-local-strict", name)
    return int(match[1]) if match else None


def main(target):
    found = sorted(n for n in (minor(folder.name) for folder in FOLDERS.iterdir()) if n is not None)[-MINORS:]
    assert len(found) == MINORS and found[-1] - found[0] == MINORS - 1, found
    for number in found:
        folder = target / f"1.{number}"
        folder.mkdir(parents=True)
        for file in (FOLDERS / f"v1.{number}.0-local-strict").iterdir():
            schema = json.loads(file.read_text(encoding="utf-8"))
            if "x-kubernetes-group-version-kind" in schema or file.name == "_definitions.json":
                schema.pop("$id", None)
                text = json.dumps(schema).replace('"/api/_definitions.json#', '"_definitions.json#')
                (folder / file.name).write_text(text, encoding="utf-8")
        print(folder.name)


main(pathlib.Path(sys.argv[1]))
