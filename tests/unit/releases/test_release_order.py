"""In which order releases come and go."""

from typing import Any

import pytest

from app.core.errors import InvalidError
from app.releases.models import Release
from app.releases.order import deletion_order, in_order
from app.releases.schemas import ReleaseSpec
from app.releases.with_cluster import parse

CHART = {"repository": "https://charts.example.com", "name": "demo"}


def document(name: str, *depends_on: str, namespace: str = "mesh") -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "chart": CHART, "depends_on": list(depends_on)}


def specs(*documents: dict[str, Any]) -> list[ReleaseSpec]:
    return [ReleaseSpec.model_validate({**each, "cluster": "c"}) for each in documents]


def test_a_mesh_comes_base_first_whatever_the_order_of_the_request() -> None:
    asked = [document("gateway", "istiod", namespace="ingress"), document("istiod", "base"), document("base")]
    assert [release.spec.name for release in parse(asked, "c")] == ["base", "istiod", "gateway"]
    assert [release.index for release in parse(asked, "c")] == [2, 1, 0]


def test_a_name_means_the_release_of_its_own_namespace_first() -> None:
    asked = specs(document("db", namespace="a"), document("db", namespace="b"), document("web", "db", namespace="b"))
    assert in_order(asked, "/releases") == [0, 1, 2]
    with pytest.raises(InvalidError, match="depends on one that is not there") as caught:
        in_order([*asked, *specs(document("job", "db", namespace="c"))], "/releases")
    assert [error.pointer for error in caught.value.errors] == ["/releases/3/depends_on/0"]
    assert in_order([*asked, *specs(document("job", "a/db", namespace="c"))], "/releases") == [0, 1, 2, 3]


def test_a_circle_is_refused() -> None:
    with pytest.raises(InvalidError, match="depend on each other"):
        in_order(specs(document("a", "b"), document("b", "a")), "/releases")


def test_a_circle_is_pointed_at_where_it_is_not_at_what_depends_on_it() -> None:
    asked = specs(document("web", "a"), document("a", "b"), document("b", "a"))
    with pytest.raises(InvalidError) as caught:
        in_order(asked, "/releases")
    assert [error.pointer for error in caught.value.errors] == ["/releases/1/depends_on"]


def test_they_go_the_other_way_round_and_a_circle_holds_nothing_up() -> None:
    def row(name: str, *depends_on: str) -> Release:
        spec = {"depends_on": list(depends_on)}
        return Release(id=f"rel_{name}", name=name, namespace="n", spec=spec, sealed_values="", phase="active")

    rows = [row("base"), row("istiod", "base"), row("gateway", "istiod", "gone"), row("x", "y"), row("y", "x")]
    order = [(release.name, dependents) for release, dependents in deletion_order(rows)]
    assert order == [
        ("gateway", []),
        ("istiod", ["rel_gateway"]),
        ("base", ["rel_istiod"]),
        ("x", ["rel_y"]),
        ("y", ["rel_x"]),
    ]
