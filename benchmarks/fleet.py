"""Clusters by the dozen: asked for through the API, and waited for."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from benchmarks.processes import LocalCloud

REGION = "us-west-2"
NODEGROUPS = [{"name": "workers", "scaling": {"min": 1, "max": 3, "desired": 2}}]


def spec(name: str, **more: object) -> dict[str, Any]:
    """Return a cluster with a node group and a VPC of its own; `more` adds to it or takes the place of a part."""
    network = {"zones": 2, "nat": "none"}
    return {"name": name, "region": REGION, "network": network, "nodegroups": NODEGROUPS, **more}


def network(cloud: LocalCloud) -> dict[str, Any]:
    """Make a VPC with a subnet in each of two zones; return it as a cluster's `network`."""
    ec2 = cloud.aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
        for number, zone in enumerate("ab")
    ]
    return {"vpc_id": vpc, "subnets": {"public": [], "private": [each["Subnet"]["SubnetId"] for each in subnets]}}


def begin(client: httpx.Client, specs: Sequence[dict[str, Any]]) -> list[str]:
    """Ask for clusters, eight requests at a time; return the ids of the operations."""

    def post(body: dict[str, Any]) -> str:
        answer = client.post("/clusters", json=body)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise RuntimeError(f"POST /clusters: {answer.status_code} {answer.text}")
        return str(answer.json()["id"])

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(post, specs))


def wait(client: httpx.Client, operations: Iterable[str], *, seconds: float) -> None:
    """Return once the operations have succeeded.

    Raises:
        RuntimeError: one has not, or not in time.
    """
    deadline = time.monotonic() + seconds
    for operation in operations:
        while (found := client.get(f"/operations/{operation}").raise_for_status().json())["finished_at"] is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{operation} is still {found['status']} after {seconds:.0f} s")
            time.sleep(1)
        if found["status"] != "succeeded":
            raise RuntimeError(f"{operation} {found['status']}: {found['error']}; {found['children']}")


def everything(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Return all items of a list."""
    found: list[dict[str, Any]] = []
    token = None
    while True:
        page = client.get(path, params={"limit": 200} | ({"page_token": token} if token else {})).raise_for_status()
        found += page.json()["items"]
        token = page.json()["next_page_token"]
        if token is None:
            return found
