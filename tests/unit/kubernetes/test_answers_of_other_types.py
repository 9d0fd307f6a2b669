"""What a cluster sends is trusted to be of no type."""

import pytest

from app.gateways.helm.release import release_of, revisions_of, time_of
from app.gateways.kubernetes.access import access_of
from app.gateways.kubernetes.objects import Ref
from app.gateways.kubernetes.readiness import READY
from app.gateways.kubernetes.resources import Resource


@pytest.mark.parametrize("port", [{}, "http", "9" * 5000, None])
def test_port_that_is_no_number(port: object) -> None:
    service = {"kind": "Service", "spec": {"ports": [{"port": port}]}}
    found = access_of([Resource(Ref("Service", "n", "s"), READY, service)])
    assert found.services[0].ports[0].port == 0


def test_hosts_that_are_no_list() -> None:
    ingress = {"kind": "Ingress", "spec": {"tls": [{"hosts": 1}], "rules": [{"host": "h", "http": {"paths": [{}]}}]}}
    found = access_of([Resource(Ref("Ingress", "n", "i"), READY, ingress)])
    assert found.ingresses[0].urls == ("http://h/",)


@pytest.mark.parametrize(
    "answer", [[], {"info": [], "hooks": 1, "config": "x", "name": {}}, {"hooks": [{"events": 1}]}]
)
def test_release_of_other_types(answer: object) -> None:
    found = release_of(answer)
    assert (found.name, found.status, dict(found.values)) == ("", "unknown", {})


def test_history_of_other_types() -> None:
    assert revisions_of({"revision": 1}) == []
    assert [line.revision for line in revisions_of([1, {"revision": "x"}, {"revision": 2}])] == [0, 2]


def test_time_before_the_first_in_utc() -> None:
    assert time_of("9999-12-31T23:59:59-23:59") is None
