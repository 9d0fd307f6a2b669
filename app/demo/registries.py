"""A registry with the article's shop as a chart, and an image beside it: pushed, listed, scanned, tidied, deleted."""

import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.demo import oci
from app.demo.client import SlipwayClient
from app.demo.facts import Facts, UnexpectedError
from app.demo.follow import Follower, moment
from app.demo.screen import Screen
from app.gateways.helm import binary

NAME = "eksdemo/sock-shop"
"""A chart goes to the repository that its name ends."""

REGION = "us-west-2"
CHART_VERSION = "0.1.0"
IMAGE_TAG = "front-end-0.3.11-vulnerable"
"""The last word tells the local cloud's scan what to find."""

OLD_DAYS = 30
KEPT_DAYS = 14
SPEC = {
    "name": NAME,
    "region": REGION,
    "tag_mutability": "IMMUTABLE_WITH_EXCLUSION",
    "tag_mutability_exclusions": ["latest"],
    "scan_on_push": True,
}
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"


def create(screen: Screen, facts: Facts, client: SlipwayClient, follower: Follower) -> str:
    """Ask for the registry; return its path."""
    note = f"{NAME}: tags immutable but for latest, scanned on push"
    ended = follower.follow(client.change("POST", "/registries", note, json=SPEC))[0]
    facts.holds("the operation succeeded", expected="succeeded", found=ended["status"])
    screen.request("GET", "/registries", f"?name={NAME}")
    [registry] = client.read("/registries", name=NAME)["items"]
    facts.holds("a name with slashes is found by ?name=", expected=ended["resource"]["id"], found=registry["id"])
    screen.pairs(registry["status"]["outputs"].items())
    facts.filled("each of its outputs is filled in", registry["status"]["outputs"], ("arn", "repository_uri"))
    return f"/registries/{registry['id']}"


def push(screen: Screen, facts: Facts, client: SlipwayClient, path: str, chart: Path, folder: Path) -> None:
    """Push the chart by helm, and an image by oras, with the credentials that Slipway gives."""
    given = client.ask("POST", f"{path}/credentials", "for docker and helm")
    screen.pairs((name, given[name]) for name in ("expires_at", "docker_login", "helm_registry_login"))
    lines = given["docker_login"] + given["helm_registry_login"]
    facts.holds("the password stands in neither line", expected=False, found=given["password"] in lines)
    lasts = moment(given["expires_at"]) - datetime.now(UTC)
    facts.holds("it is good for hours, not for ever", expected=True, found=timedelta(0) < lasts < timedelta(hours=13))
    screen.console.print()
    _helm_push(screen, given, chart, folder)
    long_ago = datetime.now(UTC) - timedelta(days=OLD_DAYS)
    layout = folder / "front-end"
    files = {"srv/index.html": b"<h1>Sock Shop</h1>\n"}
    digest = oci.write_layout(layout, files, IMAGE_TAG, {"localcloud.pushed-at": long_ago.isoformat()})
    uri = given["repository_uri"]
    screen.say(f"$ oras: the OCI layout {layout.name}, {digest[:19]}…, to {uri}:{IMAGE_TAG}")
    oci.push_layout(layout, uri, given["username"], given["password"], plain_http=given["plain_http"])
    screen.console.print()
    _listed(screen, facts, client, path, digest)


def scanned(screen: Screen, facts: Facts, client: SlipwayClient, path: str) -> None:
    """What the scan on push found."""
    where = f"{path}/images/{IMAGE_TAG}/scan"
    scan = client.until(where, lambda found: found["status"] == "COMPLETE")
    screen.request("GET", where)
    for finding in scan["findings"][:3]:
        screen.say(f"{finding['severity']:<9} {finding['name']:<16} {finding['package']} {finding['package_version']}")
    counts = scan["severity_counts"]
    screen.say(", ".join(f"{count} {severity}" for severity, count in counts.items()))
    facts.holds("the scan on push found two critical flaws", expected=2, found=counts.get("CRITICAL"))
    facts.holds("the worst stand first", expected="CRITICAL", found=scan["findings"][0]["severity"])
    screen.console.print()


def tidied(screen: Screen, facts: Facts, client: SlipwayClient, follower: Follower, path: str) -> None:
    """What a lifecycle policy would expire, before it is set."""
    selection = {"tag_status": "tagged", "tag_pattern_list": ["front-end-*"], "count_type": "sinceImagePushed"}
    policy = {"rules": [{"rule_priority": 1, "selection": {**selection, "count_number": KEPT_DAYS}}]}
    note = f"what if images tagged front-end-* went after {KEPT_DAYS} days?"
    client.ask("POST", f"{path}/lifecycle-preview", note, json={"lifecycle": policy})
    preview = client.until(f"{path}/lifecycle-preview", lambda found: found["status"] == "COMPLETE")
    for image in preview["images"]:
        screen.say(f"rule {image['rule_priority']} would {image['action'].lower()} {', '.join(image['tags'])}")
    tags = [image["tags"] for image in preview["images"]]
    facts.holds("the old image would go, the chart would not", expected=[[IMAGE_TAG]], found=tags)
    screen.console.print()
    ended = follower.follow(client.change("PATCH", path, "that policy", json={"lifecycle": policy}))[0]
    facts.holds("the policy is set", expected="succeeded", found=ended["status"])


def delete(screen: Screen, facts: Facts, client: SlipwayClient, follower: Follower, path: str) -> None:
    """First without a word about the images, then with one."""
    problem = client.ask("DELETE", path, "", status=409)
    screen.answer(f"409  {problem['code']}: {problem['detail']}")
    found = (problem["code"], problem["images"])
    facts.holds("images are counted, not deleted", expected=("registry_not_empty", 2), found=found)
    screen.console.print()
    ended = follower.follow(client.change("DELETE", f"{path}?force=true", "they may go"))[0]
    facts.holds("the operation succeeded", expected="succeeded", found=ended["status"])
    left = client.read("/registries")["items"]
    facts.holds("GET /registries is empty", expected=[], found=[row["name"] for row in left])


def _listed(screen: Screen, facts: Facts, client: SlipwayClient, path: str, digest: str) -> None:
    images = client.show(f"{path}/images").json()["items"]
    for image in images:
        kind = "chart" if image["artifact_media_type"] == HELM_CONFIG else "image"
        screen.say(f"{kind}   {', '.join(image['tags']):<28} {image['digest'][:19]}…   {image['size_bytes']:>6} bytes")
    found = {tuple(image["tags"]): (image["artifact_media_type"], image["size_bytes"] > 0) for image in images}
    expected = {(CHART_VERSION,): (HELM_CONFIG, True), (IMAGE_TAG,): (oci.CONFIG, True)}
    facts.holds("both are listed, by their tags, sizes and media types", expected=expected, found=found)
    facts.holds("the image has the digest of its layout", expected=digest, found=images[-1]["digest"])
    screen.console.print()


def _helm_push(screen: Screen, given: dict[str, Any], chart: Path, folder: Path) -> None:
    """Package the chart, log in by the line that was given, and push."""
    program = str(binary.locate())
    home = {f"HELM_{name}_HOME": str(folder / f"helm-{name.lower()}") for name in ("CONFIG", "CACHE", "DATA")}
    plain = ["--plain-http"] if given["plain_http"] else []
    parent = given["repository_uri"].rpartition("/")[0]
    archive = str(folder / f"{chart.name}-{CHART_VERSION}.tgz")
    commands: Sequence[Sequence[str]] = (
        ("helm", "package", str(chart), "--destination", str(folder)),
        given["helm_registry_login"].split(),
        ("helm", "push", archive, f"oci://{parent}", *plain),
    )
    for command in commands:
        screen.say(f"$ {' '.join(command)}")
        ended = subprocess.run(
            [program, *command[1:]],
            input=given["password"],
            text=True,
            capture_output=True,
            env={**os.environ, **home},
            check=False,
        )
        if ended.returncode:
            raise UnexpectedError(f"{' '.join(command[:2])} succeeds", expected=0, found=ended.stderr)
