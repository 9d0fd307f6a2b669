"""The story, chapter by chapter. Each asks Slipway for something, shows what happens, and checks what came of it."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from app.demo import network as networks
from app.demo import registries, releases, webhooks
from app.demo.client import SlipwayClient
from app.demo.facts import Facts
from app.demo.follow import Follower, moment, seconds
from app.demo.network import Account, Network
from app.demo.processes import Running
from app.demo.releases import Shop
from app.demo.screen import Screen
from app.demo.webhooks import Receiver

CLUSTER = "eksdemo"
GROUP = "standard-workers"
SECOND = "gpu"
NO_QUOTA = "p5.48xlarge"
"""A fresh AWS account has a quota of 0 vCPUs for it, and so has the local cloud."""

CLUSTER_OUTPUTS = (
    "arn",
    "endpoint",
    "certificate_authority",
    "oidc_issuer",
    "vpc_id",
    "subnet_ids",
    "security_group_id",
    "role_arn",
)
GROUP_OUTPUTS = ("arn", "role_arn", "ssh_private_key_parameter")
SHOWN_CHARACTERS = 84


@dataclass(slots=True)
class Stage:
    """What the chapters work with.

    Attributes:
        screen: Where it is told.
        facts: What must hold.
        client: Slipway.
        follower: Shows operations.
        account: The AWS account, for what is not Slipway's work.
        cloud_url: The local cloud.
        article: The text of `examples/eksdemo.yaml`.
        network: The VPC, once it is there.
        receiver: The endpoint that is told of everything.
        examples: The folder of examples.
        folder: For files of the demo.
        build: Of the Kubernetes programs.
        repository: URL of the chart repository.
        shop: The release.
        registry: The path of the registry, once it is there.
    """

    screen: Screen
    facts: Facts
    client: SlipwayClient
    follower: Follower
    account: Account
    cloud_url: str
    article: str
    network: Network
    receiver: Receiver
    examples: Path
    folder: Path
    build: Running
    repository: str
    shop: Shop
    registry: str = ""


def make_network(stage: Stage) -> None:
    """The VPC that the article takes for given."""
    stage.screen.chapter("A network of one's own, as the article has it")
    stage.network = stage.account.make_network()
    rows = [("VPC", f"{stage.network.vpc}   {networks.CIDR}, us-west-2")]
    for kind, zone, cidr in networks.SUBNETS:
        rows.append((f"{kind} subnet", f"{stage.network.subnets[kind, zone]}   {cidr}, {zone}"))
    rows.append(("internet gateway", f"{stage.network.gateway}   0.0.0.0/0 of the public subnets"))
    stage.screen.pairs(rows)
    missing = sorted(set(_leftovers(stage)) ^ {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::InternetGateway"})
    stage.facts.holds("the account holds this network and nothing else", expected=[], found=missing)


def register(stage: Stage) -> None:
    """Somebody who wants to be told."""
    stage.screen.chapter("An endpoint that is told of everything")
    webhooks.register(stage.screen, stage.facts, stage.client, stage.receiver)


def create(stage: Stage) -> None:
    """The article's file, as it is, but for the ids."""
    screen, facts = stage.screen, stage.facts
    screen.chapter("The article's ClusterConfig, with the ids of that network")
    text = networks.with_ids(stage.article, stage.network)
    screen.document(text, "yaml")
    screen.console.print()
    headers = {"Content-Type": "application/yaml"}
    operation = stage.client.change(
        "POST", "/clusters", "application/yaml: the document above", content=text, headers=headers
    )
    family = stage.follower.follow(operation)
    for warning in family[0]["warnings"]:
        screen.warning(warning)
    kinds = [row["kind"] for row in family]
    wanted = ["cluster.apply", "cluster.create", "nodegroup.create", "addon.create", "addon.create"]
    facts.holds("one request became one operation with four children", expected=wanted, found=kinds)
    facts.holds("every one of them succeeded", expected=[], found=_not_succeeded(family))
    cluster, group, *addons = family[1:]
    order = _before(cluster, group) and all(_before(group, addon) for addon in addons)
    facts.holds("the node group waited for the cluster, the addons for the node group", expected=True, found=order)


def read(stage: Stage) -> None:
    """What there is now, and the way in."""
    stage.screen.chapter("What there is now")
    cluster = stage.client.show(f"/clusters/{CLUSTER}").json()
    _resource(stage, cluster)
    stage.facts.holds("the cluster is active", expected="active", found=cluster["status"]["phase"])
    stage.facts.filled("each of its outputs is filled in", cluster["status"]["outputs"], CLUSTER_OUTPUTS)
    stage.screen.console.print()
    group = stage.client.show(f"/nodegroups/{GROUP}").json()
    _resource(stage, group)
    stage.facts.holds("the node group is active", expected="active", found=group["status"]["phase"])
    stage.facts.filled("each of its outputs is filled in", group["status"]["outputs"], GROUP_OUTPUTS)
    stage.screen.console.print()
    text = stage.client.show(f"/clusters/{CLUSTER}/kubeconfig").text
    authority = cluster["status"]["outputs"]["certificate_authority"]
    stage.screen.document(text.replace(authority, f"{authority[:48]}…"), "yaml")
    config = yaml.safe_load(text)
    server = config["clusters"][0]["cluster"]["server"]
    facts = stage.facts
    facts.holds("the kubeconfig leads to the cluster", expected=cluster["status"]["outputs"]["endpoint"], found=server)
    command = config["users"][0]["user"]["exec"]
    facts.holds(
        "it logs in by `aws eks get-token`, and holds no secret",
        expected=("aws", True),
        found=(command["command"], "get-token" in command["args"]),
    )
    stage.shop.shell.log_in(text)
    if stage.build.process.poll() == 0:
        stage.shop.shell.begin("kubectl get nodes")  # the control plane starts while other chapters go on


def scale(stage: Stage) -> None:
    """Two nodes become three."""
    stage.screen.chapter("The node group grows from 2 to 3")
    before = stage.account.live_nodes(CLUSTER, GROUP)
    stage.facts.holds("EKS has 2 nodes for it", expected=2, found=before)
    stage.screen.console.print()
    operation = stage.client.change(
        "PATCH",
        f"/nodegroups/{GROUP}",
        '{"scaling": {"max": 3, "desired": 3}}, and a callback_url',
        json={"scaling": {"max": 3, "desired": 3}},
        params={"callback_url": stage.receiver.callback_url},
    )
    updated = stage.follower.follow(operation)[0]
    _succeeded(stage, updated)
    after = stage.account.live_nodes(CLUSTER, GROUP)
    stage.facts.holds("EKS has 3 nodes for it", expected=3, found=after)


def fail(stage: Stage) -> None:
    """A node group that cannot be."""
    screen, facts = stage.screen, stage.facts
    screen.chapter("A second node group, which must fail")
    screen.say(f"A fresh account may run no {NO_QUOTA}: its vCPU quota for that family is 0.")
    screen.console.print()
    body = {"cluster": CLUSTER, "name": SECOND, "instance_types": [NO_QUOTA], "scaling": {"min": 1, "max": 1}}
    note = f"{SECOND}: 1 {NO_QUOTA} in {CLUSTER}"
    failed = stage.follower.follow(stage.client.change("POST", "/nodegroups", note, json=body))[0]
    error = failed["error"] or {}
    cause = error.get("cause") or {}
    rows = [
        ("code", error.get("code")),
        ("first to fail", f"{cause.get('type')} {cause.get('resource')}"),
        ("AWS code", cause.get("aws_code")),
        ("AWS says", cause.get("message")),
        ("what to do", error.get("hint")),
    ]
    screen.box("Root cause", rows, style="red")
    facts.holds("the operation failed", expected="failed", found=failed["status"])
    facts.holds(
        "its error has a stable code, and the first resource that failed",
        expected=("vcpu_quota_exceeded", "AWS::EKS::Nodegroup", "VcpuLimitExceeded"),
        found=(error.get("code"), cause.get("type"), cause.get("aws_code")),
    )
    facts.holds("its hint says what to do", expected=True, found="quota" in (error.get("hint") or ""))
    phases = {name: _phase(stage, name) for name in (SECOND, GROUP)}
    facts.holds(
        "the group is failed, and took nothing else down",
        expected={SECOND: "failed", GROUP: "active"},
        found=phases,
    )


def put_right(stage: Stage) -> None:
    """The same group, with a machine that may be had."""
    stage.screen.chapter("The same one, put right")
    operation = stage.client.change(
        "PATCH",
        f"/nodegroups/{SECOND}",
        '{"instance_types": ["m5.large"]}',
        json={"instance_types": ["m5.large"]},
    )
    _succeeded(stage, stage.follower.follow(operation)[0])
    group = stage.client.read(f"/nodegroups/{SECOND}")
    stage.facts.holds("the group is active", expected="active", found=group["status"]["phase"])
    stage.facts.filled("it has an ARN and a role", group["status"]["outputs"], ("arn", "role_arn"))
    stage.facts.holds("EKS has 1 node for it", expected=1, found=stage.account.live_nodes(CLUSTER, SECOND))


def fill_registry(stage: Stage) -> None:
    """A registry with a chart and an image."""
    stage.screen.chapter("A registry, with the shop's chart and an image pushed to it")
    told = stage.screen, stage.facts, stage.client
    stage.registry = registries.create(*told, stage.follower)
    stage.screen.console.print()
    registries.push(*told, stage.registry, stage.examples / "charts" / "sock-shop", stage.folder)
    registries.scanned(*told, stage.registry)
    registries.tidied(*told, stage.follower, stage.registry)


def install(stage: Stage) -> None:
    """The article's application."""
    stage.screen.chapter("The article's shop, installed as a release")
    releases.wait_for_programs(stage.screen, stage.build)
    stage.shop.install(stage.repository)
    stage.screen.chapter("The same, as kubectl and helm see it")
    stage.shop.look()


def install_from_registry(stage: Stage) -> None:
    """The chart that was pushed, as a release of its own."""
    stage.screen.chapter("The chart from the registry, as a second release")
    stage.shop.install_second(stage.registry, stage.examples / "charts" / "sock-shop")


def upgrade(stage: Stage) -> None:
    """One more of one service."""
    stage.screen.chapter("A value changed: the difference first, then the upgrade")
    stage.shop.upgrade()


def break_and_mend(stage: Stage) -> None:
    """An upgrade that must fail, and what to do then."""
    stage.screen.chapter("An upgrade that must fail: an image that is not there")
    stage.shop.break_it()
    stage.screen.chapter("Rolled back, and tested")
    stage.shop.roll_back()
    stage.screen.console.print()
    stage.shop.test()


def uninstall(stage: Stage) -> None:
    """The shop goes."""
    stage.screen.chapter("The releases uninstalled")
    stage.shop.uninstall_second()
    stage.screen.console.print()
    stage.shop.uninstall()


def delete_registry(stage: Stage) -> None:
    """The registry, which is not empty."""
    stage.screen.chapter("The registry deleted: its images are counted first")
    registries.delete(stage.screen, stage.facts, stage.client, stage.follower, stage.registry)


def delete(stage: Stage) -> None:
    """The cluster, with all that belongs to it."""
    screen, facts = stage.screen, stage.facts
    screen.chapter("All of it deleted, in order")
    operation = stage.client.change("DELETE", f"/clusters/{CLUSTER}", "with all that belongs to it")
    family = stage.follower.follow(operation)
    parent, *children = family
    ended = sorted((*children, parent), key=lambda row: str(row["finished_at"]))
    for place, row in enumerate(ended, 1):
        began = seconds(parent["created_at"], row["started_at"])
        over = seconds(parent["created_at"], row["finished_at"])
        span = f"from {began:4.1f} s to {over:4.1f} s"
        screen.say(f"{place}. {row['kind']:<17}{row['resource']['name']:<18}{span}")
    screen.console.print()
    facts.holds("every delete succeeded", expected=[], found=_not_succeeded(family))
    facts.holds("nothing is warned of", expected=[], found=[text for row in family for text in row["warnings"]])
    facts.holds("first the node groups, then the addons, then the cluster", expected=True, found=_in_order(family))
    left = stage.client.read("/clusters")["items"]
    facts.holds("GET /clusters is empty", expected=[], found=[row["name"] for row in left])


def told(stage: Stage) -> None:
    """What the endpoint has heard of all this."""
    stage.screen.chapter("What the endpoint was told")
    webhooks.show(stage.screen, stage.facts, stage.client, stage.receiver)


def leave_nothing(stage: Stage) -> None:
    """What the account still holds."""
    stage.screen.chapter("What is left in the account")
    network = stage.network
    expected = {
        "AWS::EC2::VPC": [network.vpc],
        "AWS::EC2::Subnet": sorted(network.subnets.values()),
        "AWS::EC2::InternetGateway": [network.gateway],
    }
    stage.screen.request("GET", "/_localcloud/leftovers", "of the local cloud")
    stage.facts.holds(
        "of what Slipway made, nothing; only the demo's own network", expected=expected, found=_leftovers(stage)
    )
    stage.account.remove_network(network)
    stage.network = Network()
    stage.screen.request("GET", "/_localcloud/leftovers", "once the demo has removed its network")
    stage.facts.holds("nothing at all", expected={}, found=_leftovers(stage))


CHAPTERS: tuple[Callable[[Stage], None], ...] = (
    make_network,
    register,
    create,
    read,
    scale,
    fail,
    put_right,
    fill_registry,
    install,
    install_from_registry,
    upgrade,
    break_and_mend,
)
"""Up to here a demo with `keep` goes."""

CLEARING: tuple[Callable[[Stage], None], ...] = (uninstall, delete_registry, delete, told, leave_nothing)


def _leftovers(stage: Stage) -> dict[str, list[str]]:
    answer = httpx.get(f"{stage.cloud_url}/_localcloud/leftovers", trust_env=False, timeout=10)
    found: dict[str, list[str]] = answer.raise_for_status().json()
    return found


def _resource(stage: Stage, resource: dict[str, Any]) -> None:
    spec, status = resource["spec"], resource["status"]
    conditions = ", ".join(f"{one['type']}={one['status']}" for one in status["conditions"])
    rows: list[tuple[str, object]] = [("phase", f"{status['phase']}   {conditions}"), ("version", spec["version"])]
    if "scaling" in spec:
        scaling = spec["scaling"]
        rows.append(
            ("nodes", f"{scaling['desired']} ({scaling['min']} to {scaling['max']}) {spec['instance_types'][0]}")
        )
    rows.extend(("addon", f"{addon['name']}   {addon['phase']}") for addon in status.get("addons") or [])
    for name, value in status["outputs"].items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        rows.append((name, text if len(text) <= 2 * SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"))
    stage.screen.pairs(rows)


def _phase(stage: Stage, group: str) -> str:
    return str(stage.client.read(f"/nodegroups/{group}")["status"]["phase"])


def _succeeded(stage: Stage, operation: dict[str, Any]) -> None:
    stage.facts.holds("the operation succeeded", expected=[], found=_not_succeeded([operation]))


def _not_succeeded(family: list[dict[str, Any]]) -> list[str]:
    """Return a line for each operation that did not succeed; a cause that lies in another one is not repeated."""
    lines = []
    for row in family:
        error = row["error"] or {}
        own = error.get("code") not in (None, "dependency_failed", "child_failed")
        if row["status"] != "succeeded":
            why = f": {error['code']}: {error['message']}" if own else ""
            lines.append(f"{row['kind']} {row['resource']['name']} {row['status']}{why}")
    return lines


def _in_order(family: list[dict[str, Any]]) -> bool:
    """Tell whether each kind of delete had ended before the next began."""
    kinds = ("nodegroup.delete", "addon.delete", "cluster.delete")
    spans = [[row for row in family if row["kind"] == kind] for kind in kinds]
    return [len(rows) for rows in spans] == [2, 2, 1] and all(
        _before(first, second)
        for before, after in itertools.pairwise(spans)
        for first, second in itertools.product(before, after)
    )


def _before(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Tell whether one operation had ended before the other began."""
    return moment(first["finished_at"]) <= moment(second["started_at"])
