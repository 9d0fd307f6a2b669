"""Values of releases: what `set` makes of them, what is hidden of them, and what comes back."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidError
from app.gateways.kubernetes.objects import parse_manifest
from app.releases.errors import RedactedValueError
from app.releases.manifest import without_secrets
from app.releases.schemas import ReleaseSpec
from app.releases.values import Mask, effective, is_secret_name, redacted, restored

BODY: dict[str, Any] = {
    "cluster": "c",
    "namespace": "n",
    "name": "r",
    "chart": {"repository": "https://charts.example.com", "name": "demo"},
}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "password", "token", "env", "name", "value"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "name", ["password", "rootPassword", "apiKey", "api_key", "authToken", "client-secret", "privateKey", "PGPASSWD"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["existingSecret", "secretName", "imagePullSecrets", "secretRef", "tokenPath", "automountServiceAccountToken",
     "replicas", "tokenExpirationSeconds", "passwordLength"],
)  # fmt: skip
def test_names_that_only_speak_of_one(name: str) -> None:
    assert not is_secret_name(name)


def test_what_is_hidden() -> None:
    values = {
        "replicas": 2,
        "db": {"password": "correct horse", "port": 5432, "secrets": {"a": ["x", 1, True]}},
        "env": [{"name": "DB_PASSWORD", "value": "one"}, {"name": "MODE", "value": "two"}],
        "url": "postgres://me:three@db/x",
        "existingSecret": "mine",
        "password": "",
    }
    assert redacted(values) == {
        "replicas": 2,
        "db": {"password": "(redacted)", "port": 5432, "secrets": {"a": ["(redacted)", "(redacted)", True]}},
        "env": [{"name": "DB_PASSWORD", "value": "(redacted)"}, {"name": "MODE", "value": "two"}],
        "url": "(redacted)",
        "existingSecret": "mine",
        "password": "",
    }
    mask = Mask(values)
    encoded = base64.b64encode(b"correct horse").decode()
    said = mask.text(f"password correct horse, {encoded}, at postgres://me:three@db/x")
    assert "correct" not in said
    assert encoded not in said
    assert "three" not in said
    assert mask.value({"a": ["correct horse", 1]}) == {"a": ["(redacted)", 1]}


@given(VALUES)
def test_what_was_shown_comes_back_whole(values: Any) -> None:
    document = {"values": values}
    assert restored(redacted(document), document) == document


def test_a_marker_without_a_value_behind_it_is_refused() -> None:
    with pytest.raises(RedactedValueError) as caught:
        restored({"a": {"password": "(redacted)"}, "b/c": ["(redacted)"]}, {"a": {}}, "/values")
    assert [error.pointer for error in caught.value.errors] == ["/values/a/password", "/values/b~1c/0"]


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
