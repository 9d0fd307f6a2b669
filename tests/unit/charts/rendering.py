"""Charts as helm itself renders them."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from app.gateways.helm import binary

ROOT = Path(__file__).resolve().parents[3]

Document = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm to its end."""
    command = [str(binary.locate()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def template(name: str, chart: Path, *sets: str) -> subprocess.CompletedProcess[str]:
    """Render a chart as release `name`, each of `sets` after a `--set`."""
    return helm("template", name, str(chart), *(part for one in sets for part in ("--set", one)))


def documents_of(done: subprocess.CompletedProcess[str]) -> list[Document]:
    """Return what was rendered; it must have been."""
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def one(documents: list[Document], kind: str, name: str) -> Document:
    """Return the object of that kind and name; there must be exactly one."""
    found = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, [(each["kind"], each["metadata"]["name"]) for each in documents]
    return found[0]


def pod_of(deployment: Document) -> Document:
    """Return the spec of a deployment's pods."""
    spec: Document = deployment["spec"]["template"]["spec"]
    return spec
