"""The article's shop as a Helm release: installed, looked at, changed, broken, brought back, tested, taken away."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from app.demo.client import SlipwayClient
from app.demo.facts import Facts
from app.demo.follow import Follower
from app.demo.processes import Running, StartError, tail
from app.demo.screen import Screen
from app.demo.shell import Shell

NAME = "my-release"
NAMESPACE = "sock-shop"
PATH = f"/releases/{NAME}"
SERVICES = 14
"""Of the chart."""

SECOND = "storefront"
SECOND_NAMESPACE = "storefront"
SHOWN_SERVICE = "front-end"
"""The only one of the chart that the second release has."""

MORE = "services.catalogue.replicas=2"
MISSING = "services.catalogue.image.tag=missing"
"""A tag that the local cloud cannot pull."""

PATIENCE_SECONDS = 5
"""How long the upgrade that cannot succeed may take."""

BUILD_SECONDS = 1800.0
SHOWN_CHANGES = 6

Json = dict[str, Any]


def wait_for_programs(screen: Screen, build: Running) -> None:
    """Wait until the Kubernetes programs are built; the first time that takes minutes, and its progress is shown.

    Raises:
        StartError: they cannot be built.
    """
    output, shown, deadline = build.log.with_suffix(".out"), "", time.monotonic() + BUILD_SECONDS
    while build.process.poll() is None:
        if time.monotonic() > deadline:
            raise StartError(f"Kubernetes was not built within {BUILD_SECONDS:.0f} s:\n{tail(output, 5)}")
        if (line := tail(output, 1)) != shown:
            screen.say(f"building Kubernetes, once for all demos: {line.strip()}")
            shown = line
        time.sleep(0.5)
    if build.process.returncode:
        raise StartError(f"Kubernetes cannot be built:\n{tail(output, 5)}\n{tail(build.log, 15)}")


@dataclass(frozen=True, slots=True)
class Shop:
    """The release, and who works with it.

    Attributes:
        screen: Where it is told.
        facts: What must hold.
        client: Slipway.
        follower: Shows operations.
        shell: A user's `kubectl` and `helm`.
        request: `examples/sock-shop.json`.
    """

    screen: Screen
    facts: Facts
    client: SlipwayClient
    follower: Follower
    shell: Shell
    request: Path

    def install(self, repository: str) -> None:
        """The article's `helm install`, as a request."""
        body = json.loads(self.request.read_text(encoding="utf-8"))
        body["chart"]["repository"] = repository
        self.screen.document(json.dumps(body, indent=2), "json")
        self.screen.console.print()
        self._followed(self.client.change("POST", "/releases", "the document above", json=body))
        release = self.client.show(PATH).json()
        outputs, access = release["status"]["outputs"], release["status"]["access"]
        conditions = ", ".join(f"{one['type']}={one['status']}" for one in release["status"]["conditions"])
        rows: list[tuple[str, object]] = [("phase", f"{release['status']['phase']}   {conditions}")]
        rows += outputs.items()
        rows.append(("to reach it", access["port_forward"]))
        self.screen.pairs(rows)
        self.facts.holds("it is active, as its first revision", expected=("active", 1), found=self._state())
        self.facts.filled("its chart is known by version and digest", outputs, ("chart_version", "chart_digest"))
        self.facts.holds("the front end stands first", expected="front-end", found=access["services"][0]["name"])
        self._notes(body["namespace"])
        self._resources()

    def install_second(self, registry: str, chart: Path) -> None:
        """The chart that was pushed, from the registry; only one of its services."""
        body = json.loads(self.request.read_text(encoding="utf-8"))
        body |= {"name": SECOND, "namespace": SECOND_NAMESPACE}
        body["chart"] = {
            "registry": registry.rpartition("/")[2],
            "name": chart.name,
            "version": body["chart"]["version"],
        }
        services = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))["services"]
        body["set"] = [f"services.{name}.enabled=false" for name in services if name != SHOWN_SERVICE]
        note = f"{json.dumps(body['chart'])}, only its {SHOWN_SERVICE}"
        self._followed(self.client.change("POST", "/releases", note, json=body))
        outputs = self.client.show(f"/releases/{SECOND}").json()["status"]["outputs"]
        self.screen.pairs(outputs.items())
        [pushed] = [
            image["digest"]
            for image in self.client.read(f"{registry}/images")["items"]
            if body["chart"]["version"] in image["tags"]
        ]
        self.facts.holds("its chart has the digest that was pushed", expected=pushed, found=outputs["chart_digest"])
        resources = self.client.read(f"/releases/{SECOND}/resources")["items"]
        found = [(one["name"], one["ready"]) for one in resources if one["kind"] == "Deployment"]
        self.facts.holds("it is ready: one service", expected=[(SHOWN_SERVICE, True)], found=found)

    def uninstall_second(self) -> None:
        """It goes, the shop stays."""
        self._followed(self.client.change("DELETE", f"/releases/{SECOND}", ""))
        left = self.client.read("/releases")["items"]
        self.facts.holds("the shop itself stays", expected=[NAME], found=[row["name"] for row in left])

    def look(self) -> None:
        """What the article's own tools see."""
        deployments = self.shell.run(f"kubectl --namespace {NAMESPACE} get deployments --output json")
        ready = [
            item["metadata"]["name"] for item in json.loads(deployments)["items"] if item["status"]["readyReplicas"]
        ]
        [release] = json.loads(self.shell.run(f"helm list --namespace {NAMESPACE} --output json"))
        self.screen.say(
            f"{release['name']}   revision {release['revision']}   {release['status']}   {release['chart']}"
        )
        self.facts.holds("kubectl sees all services ready", expected=SERVICES, found=len(ready))
        found = (release["name"], release["revision"], release["status"])
        self.facts.holds("helm sees the same release", expected=(NAME, "1", "deployed"), found=found)

    def upgrade(self) -> None:
        """First what it would change, then the change."""
        body = {"set": [MORE]}
        diff = self.client.ask("POST", f"{PATH}/diff", json.dumps(body), json=body)
        for change in diff["changes"][:SHOWN_CHANGES]:
            self.screen.say(f"{change['action']:<8}{change['kind']}/{change['name']}")
            for field in change["fields"]:
                self.screen.say(f"        {field['pointer']}: {field['before']} → {field['after']}")
        found = [(one["name"], [(f["pointer"], f["after"]) for f in one["fields"]]) for one in diff["changes"]]
        expected = [("catalogue", [("/spec/replicas", 2)])]
        self.facts.holds("one field of one object would change, and nothing has", expected=expected, found=found)
        self.facts.holds("so it is still its first revision", expected=("active", 1), found=self._state())
        self.screen.console.print()
        self._followed(self.client.change("PATCH", PATH, json.dumps(body), json=body))
        self.facts.holds("it is active, as revision 2", expected=("active", 2), found=self._state())
        self.facts.holds("the catalogue has two pods", expected=[True, True], found=self._pods())

    def break_it(self) -> None:
        """An upgrade to an image that is not there."""
        body = {"set": [MISSING], "timeout_seconds": PATIENCE_SECONDS}
        failed = self.follower.follow(self.client.change("PATCH", PATH, json.dumps(body), json=body))[0]
        error = failed["error"] or {}
        cause = error.get("cause") or {}
        rows = [
            ("code", error.get("code")),
            ("message", error.get("message")),
            ("at fault", cause.get("resource")),
            ("Kubernetes says", cause.get("message")),
            ("what to do", error.get("hint")),
        ]
        self.screen.box("Root cause", rows, style="red")
        found = (failed["status"], error.get("code"), cause.get("type"))
        self.facts.holds("it failed, and says why", expected=("failed", "image_not_found", "Pod"), found=found)
        names = "catalogue" in cause.get("resource", "") and ":missing" in cause.get("message", "")
        self.facts.holds("its cause is the pod, and the image that it cannot pull", expected=True, found=names)
        release = self.client.read(PATH)
        synced = [one["status"] for one in release["status"]["conditions"] if one["type"] == "Synced"]
        found_now = (release["status"]["phase"], synced)
        self.facts.holds(
            "the release is active still, but not in sync", expected=("active", ["False"]), found=found_now
        )
        self.facts.holds("and the shop still has its two pods", expected=2, found=self._pods().count(True))

    def roll_back(self) -> None:
        """The revision before, brought back."""
        history = self.client.show(f"{PATH}/history").json()["items"]
        for one in history:
            self.screen.say(f"{one['revision']}   {one['status']:<11} {one['chart']}   {one['description']}")
        found = [(one["revision"], one["status"]) for one in history]
        expected = [(3, "failed"), (2, "deployed"), (1, "superseded")]
        self.facts.holds("Helm keeps all three revisions", expected=expected, found=found)
        self.screen.console.print()
        self._followed(self.client.change("POST", f"{PATH}/rollback", '{"revision": 2}', json={"revision": 2}))
        self.facts.holds("it is active, as revision 4", expected=("active", 4), found=self._state())
        spec = self.client.read(PATH)["spec"]
        image = spec["values"]["services"]["catalogue"].get("image")
        self.facts.holds("its spec is that of revision 2", expected=(None, 300), found=(image, spec["timeout_seconds"]))
        self.facts.holds("the catalogue has its two pods", expected=[True, True], found=self._pods())

    def test(self) -> None:
        """The chart's own test."""
        self._followed(self.client.change("POST", f"{PATH}/test", ""))
        tests = self.client.read(PATH)["status"]["tests"]
        for one in tests:
            self.screen.say(f"{one['name']}   {one['phase']}")
        self.facts.holds("its test succeeded", expected=["Succeeded"], found=[one["phase"] for one in tests])

    def uninstall(self) -> None:
        """All that the chart made goes."""
        self._followed(self.client.change("DELETE", PATH, ""))
        left = self.client.read("/releases")["items"]
        self.facts.holds("GET /releases is empty", expected=[], found=[row["name"] for row in left])
        listed = json.loads(self.shell.run(f"helm list --namespace {NAMESPACE} --output json"))
        pods = json.loads(self.shell.run(f"kubectl --namespace {NAMESPACE} get deployments,services --output json"))
        self.facts.holds("helm and kubectl see nothing of it", expected=([], []), found=(listed, pods["items"]))

    def _followed(self, operation: Json) -> None:
        ended = self.follower.follow(operation)[0]
        error = ended["error"] or {}
        found = f"{ended['status']} {error.get('code', '')}: {error.get('message', '')}" if error else ended["status"]
        self.facts.holds("the operation succeeded", expected="succeeded", found=found)

    def _state(self) -> tuple[str, int]:
        status = self.client.read(PATH)["status"]
        return status["phase"], status["outputs"]["revision"]

    def _notes(self, namespace: str) -> None:
        self.screen.console.print()
        notes = self.client.show(f"{PATH}/notes").json()["notes"]
        self.screen.document(notes, "bash")
        line = f"kubectl port-forward --namespace {namespace} $POD_NAME 8080:8079"
        self.facts.holds("its notes end as the article's do", expected=True, found=notes.rstrip().endswith(line))

    def _resources(self) -> None:
        self.screen.console.print()
        resources = self.client.show(f"{PATH}/resources").json()["items"]
        kinds = Counter(one["kind"] for one in resources)
        ready = Counter(one["kind"] for one in resources if one["ready"])
        rows = [(kind, f"{ready[kind]} of {count} ready") for kind, count in kinds.items()]
        pods = [pod for one in resources for pod in one["pods"]]
        nodes = Counter(pod["node"] for pod in pods)
        placed = ", ".join(f"{count} on {node}" for node, count in sorted(nodes.items()))
        rows.append(("Pod", f"{sum(pod['ready'] for pod in pods)} of {len(pods)} ready: {placed}"))
        self.screen.pairs(rows)
        for one in resources:
            if not one["ready"]:
                self.screen.warning(f"{one['kind']}/{one['name']}: {one['reason']}: {one['message']}")
        waiting = [one["name"] for one in resources if one["kind"] in ("Deployment", "Service") and not one["ready"]]
        self.facts.holds("every service is ready", expected=[], found=waiting)
        self.facts.holds("each of its pods has a node", expected=SERVICES, found=sum(bool(pod["node"]) for pod in pods))

    def _pods(self) -> list[bool]:
        """Return of each pod of the catalogue, but for those that are going, whether it is ready."""
        resources = self.client.read(f"{PATH}/resources")["items"]
        found = [one for one in resources if (one["kind"], one["name"]) == ("Deployment", "catalogue")]
        return [pod["ready"] for one in found for pod in one["pods"] if pod["reason"] != "Terminating"]
