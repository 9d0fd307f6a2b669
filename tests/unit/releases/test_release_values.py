"""Values of releases: what `set` makes of them; and their manifests without the data of Secrets."""

from typing import Any

import pytest

from app.core.errors import InvalidError
from app.gateways.kubernetes.objects import parse_manifest
from app.operations.prepared import FieldChange
from app.releases.manifest import without_secrets
from app.releases.schemas import ReleaseSpec
from app.releases.secrets.opened import Opened
from app.releases.values import effective, values_changes

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


def test_a_secret_that_changes_is_named_and_not_shown() -> None:
    before = Opened({"password": "hunter22", "replicas": 1, "auth": {"token": "sesame"}, "kept": "word"})
    after = Opened({"password": "hunter23", "replicas": 2, "auth": {}, "kept": "word"})
    assert [(each.pointer, each.before, each.after) for each in values_changes(before, after)] == [
        ("/values/auth/token", "(redacted)", None),
        ("/values/password", "(redacted)", "(redacted)"),
        ("/values/replicas", 1, 2),
    ]
    assert values_changes(before, before) == []


def test_what_either_knows_to_be_secret_is_hidden_in_both() -> None:
    place = ("greeting",)
    before, after = Opened({"greeting": "sesame"}), Opened({"greeting": "open"}, named=[place])
    after.learn([place])
    assert [(each.before, each.after) for each in values_changes(before, after)] == [("(redacted)", "(redacted)")]
    [made] = values_changes(None, after)
    assert (made.pointer, made.before, made.after) == ("/values", None, {"greeting": "(redacted)"})


def test_a_part_that_is_secret_shows_its_fields() -> None:
    place = ("auth",)
    before, after = Opened({"auth": {"a": "one"}}, named=[place]), Opened({"auth": {"a": "two"}}, named=[place])
    assert values_changes(before, after) == [FieldChange("/values/auth/a", "(redacted)", "(redacted)")]


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
