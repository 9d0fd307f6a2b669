"""All of 1,000 images of a registry: page by page through Slipway, and from ECR itself by the SDK, in turn.

Both ask the same local cloud, whose answer is most of the time. Slipway gives pages of 200, the newest first; the SDK
is asked both as it asks by itself (100 in a page) and for the largest page that ECR gives, which is one call.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from app.demo import oci
from benchmarks import processes
from benchmarks.processes import LocalCloud
from benchmarks.table import quantile, show

IMAGES = 1000
NAME = "bench/images"
WARM_UP, ROUNDS = 3, 30


def run(_options: argparse.Namespace) -> bool:
    """Push, list in turn, print."""
    with processes.folder() as where, processes.local_cloud(where) as cloud:
        url = f"sqlite:///{where / 'slipway.db'}"
        processes.migrate(url)
        with processes.serving(where, url, cloud, poll_min_seconds=0.2) as service, service.client() as client:
            path = _create(client, cloud)
            ecr = cloud.aws("ecr")
            _push(client, path, ecr, where)
            return _compare(client, path, ecr, cloud)


def _create(client: httpx.Client, cloud: LocalCloud) -> str:
    body = {"name": NAME, "region": cloud.env["AWS_REGION"], "scan_on_push": False}
    operation = client.post("/registries", json=body).raise_for_status().json()
    while not (found := client.get(f"/operations/{operation['id']}").json())["finished_at"]:
        time.sleep(0.1)
    if found["status"] != "succeeded":
        raise RuntimeError(found["error"])
    return f"/registries/{operation['resource']['id']}"


def _push(client: httpx.Client, path: str, ecr: Any, where: Any) -> None:
    """Push one image by the registry protocol, and 999 manifests of the same layers."""
    given = client.post(f"{path}/credentials").raise_for_status().json()
    digest = oci.write_layout(where / "layout", {"serial": b"0"}, "0")
    oci.push_layout(
        where / "layout", given["repository_uri"], given["username"], given["password"], plain_http=given["plain_http"]
    )
    manifest = json.loads((where / "layout" / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes())
    for number in range(1, IMAGES):
        text = json.dumps({**manifest, "annotations": {"serial": str(number)}})
        ecr.put_image(repositoryName=NAME, imageManifest=text, imageTag=str(number))


def _compare(client: httpx.Client, path: str, ecr: Any, cloud: LocalCloud) -> bool:
    ways: dict[str, Callable[[], set[str]]] = {
        "slipway, 5 pages": lambda: _through_slipway(client, path),
        "SDK, 10 pages of 100": lambda: _by_sdk(ecr, 100),
        "SDK, 1 page of 1,000": lambda: _by_sdk(ecr, 1000),
    }
    found = {name: way() for name, way in ways.items()}
    if any(len(digests) != IMAGES for digests in found.values()) or len({*map(frozenset, found.values())}) != 1:
        print(f"  the lists differ: {[len(digests) for digests in found.values()]}")
        return False
    cloud.forget_calls()
    _through_slipway(client, path)
    calls = cloud.calls().get("ecr:DescribeImages", 0)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(WARM_UP + ROUNDS):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - began)
    least = quantile(times["SDK, 1 page of 1,000"], 0.5)
    rows = [
        (name, 1000 * quantile(each, 0.5), 1000 * quantile(each, 0.9), f"{quantile(each, 0.5) / least:.2f}x")
        for name, each in times.items()
    ]
    title = (
        f"registries: a list of {IMAGES:,} images, {ROUNDS} times in turn; {calls} call of DescribeImages by Slipway"
    )
    show(title, ("", "median ms", "p90 ms", "to the least"), rows)
    return True


def _through_slipway(client: httpx.Client, path: str) -> set[str]:
    digests: set[str] = set()
    token: str | None = ""
    while token is not None:
        query = {"limit": 200, **({"page_token": token} if token else {})}
        page = client.get(f"{path}/images", params=query).raise_for_status().json()
        digests.update(image["digest"] for image in page["items"])
        token = page["next_page_token"]
    return digests


def _by_sdk(ecr: Any, size: int) -> set[str]:
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=NAME, PaginationConfig={"PageSize": size})
    return {image["imageDigest"] for page in pages for image in page["imageDetails"]}
