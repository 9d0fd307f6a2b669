"""Node groups, registries and releases that stand in a cluster's own request."""

from collections.abc import Callable
from typing import Any

import pytest

from app.core.errors import InvalidError
from app.kinds import parts
from app.kinds.all import KINDS
from app.registries import service as registries
from app.releases import with_cluster as releases
from app.releases.errors import TooManySecretsError


def release(name: str, namespace: str = "apps") -> dict[str, Any]:
    chart = {"repository": "https://charts.example.com", "name": "web", "version": "1.0.0"}
    return {"name": name, "namespace": namespace, "chart": chart}


@pytest.mark.parametrize(
    ("parse", "document", "place", "said"),
    [
        (
            lambda raw: parts.parse(KINDS.values(), {"nodegroups": raw}, "shop"),
            lambda name: {"name": name},
            "/nodegroups",
            "'web'",
        ),
        (
            lambda raw: registries.parse(raw, region="us-west-2", account="default"),
            lambda name: {"name": name},
            "/registries",
            "'web'",
        ),
        (lambda raw: releases.parse(raw, "shop"), release, "/releases", "'apps/web'"),
    ],
)
def test_names_that_stand_twice_are_named_by_their_own_place(
    parse: Callable[[list[dict[str, Any]]], Any], document: Callable[[str], dict[str, Any]], place: str, said: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        parse([document("web"), {"name": 1}, document("web")])
    assert (f"{place}/2/name", f"{said} stands twice") in [
        (error.pointer, error.detail) for error in caught.value.errors
    ]
    parse([document("web"), document("other")])


def test_releases_of_two_namespaces_may_share_a_name() -> None:
    assert len(releases.parse([release("web"), release("web", "other")], "shop")) == 2


def test_secrets_of_all_releases_of_a_request_are_bounded_together() -> None:
    """They are hidden together, in whatever is said of the request."""
    values = {"secrets": [f"{number}{'<&é' * 20}" for number in range(200)]}
    one = {**release("web"), "values": values}
    releases.parse([one], "shop")
    many = [
        {**release(f"web-{each}"), "values": {"secrets": [f"{each}{text}" for text in values["secrets"]]}}
        for each in range(5)
    ]
    with pytest.raises(TooManySecretsError) as caught:
        releases.parse(many, "shop")
    assert [error.pointer for error in caught.value.errors] == ["/releases"]
