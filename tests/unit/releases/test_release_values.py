"""Values of releases: what `set` makes of them; and their manifests without the data of Secrets."""

from typing import Any

import pytest

from app.core.errors import InvalidError
from app.gateways.kubernetes.objects import parse_manifest
from app.releases.manifest import without_secrets
from app.releases.schemas import ReleaseSpec
from app.releases.values import effective

BODY: dict[str, Any] = {
    "cluster": "c",
    "namespace": "n",
    "name": "r",
    "chart": {"repository": "https://charts.example.com", "name": "demo"},
}


def test_set_comes_after_values() -> None:
    spec = ReleaseSpec.model_validate({**BODY, "values": {"a": {"b": 1, "c": 2}}, "set": ["a.b=3", "d=null"]})
    assert effective(spec) == {"a": {"b": 3, "c": 2}, "d": None}
    bad = spec.model_copy(update={"set": ["a.b=3", "x"]})
    with pytest.raises(InvalidError) as caught:
        effective(bad, "/releases/2")
    assert [error.pointer for error in caught.value.errors] == ["/releases/2/set/1"]


MANIFEST = """---
# Source: demo/templates/app.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}   # as it is written
data: {speaks-of: Secret}
---
# Source: demo/templates/secret.yaml
apiVersion: v1
kind: Secret
metadata: {name: b}
data: {password: Y29ycmVjdA==}
stringData:
  token: horse
---
{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"},
 "data": {"x": "YmF0dGVyeQ=="}}]}
"""


def test_secrets_of_manifests() -> None:
    shown = without_secrets(MANIFEST)
    assert "metadata: {name: a}   # as it is written" in shown
    assert "# Source: demo/templates/secret.yaml" in shown
    for secret in ("Y29ycmVjdA==", "horse", "YmF0dGVyeQ=="):
        assert secret not in shown
    objects = {item["metadata"]["name"]: item for item in parse_manifest(shown)}
    assert objects["b"]["data"] == {"password": "(redacted)"}
    assert objects["c"]["data"] == {"x": "(redacted)"}


def test_a_document_that_cannot_be_read_is_not_shown() -> None:
    assert "hunter2" not in without_secrets("kind: Secret\ndata: {password: hunter2\n")
