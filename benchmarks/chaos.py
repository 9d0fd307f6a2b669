"""kill -9 of the service at random moments: every operation ends right, and nothing is made twice.

Rounds of 20 clusters with a node group each (and the two usual addons, so four stacks a cluster) are created and then
deleted, until the kills are spent. A killed service is started again at once. The client sends an `Idempotency-Key`
with every change and repeats a request whose answer it did not get; later it repeats each once more, which must give
the first answer. Of the moments, half are the first milliseconds after a call by which AWS makes or deletes a stack,
when the service may not have written down yet what it did; the others are any; one in eight is while it starts.

What must hold after each half round: every operation has succeeded; every cluster, node group and addon is active (or
gone); each stack name exists exactly once in ListStacks, which knows the deleted ones too; no event is there twice.

SQLite and one process, or with --postgres two replicas, of which each kill hits one.
"""

import argparse
import asyncio
import contextlib
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks import processes
from benchmarks.asking import ALREADY, UNAVAILABLE, Client
from benchmarks.processes import LocalCloud, Slipway
from benchmarks.table import show

CLUSTERS = 20
STACKS_OF_A_CLUSTER = 4
HALF_ROUND_SECONDS = 1800.0
CALLING_SECONDS = 20.0
"""How long a kill waits for the next call that makes or deletes a stack, before any moment will do."""

_LOOK_SECONDS = 0.005
_MOMENTS = ("calling",) * 4 + ("any",) * 3 + ("starting",)
RULES = (
    {"type": "AWS::EKS::Cluster", "op": "create", "delay": 4},
    {"type": "AWS::EKS::Nodegroup", "op": "create", "delay": 3},
    {"type": "AWS::EKS::*", "delay": 1.5},
)


def run(options: argparse.Namespace) -> bool:
    """Run the rounds; True if everything was right."""
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(processes.folder())
        cloud = stack.enter_context(processes.local_cloud(where))
        cloud.rules(*RULES)
        services = _services(stack, where, cloud, postgres=options.postgres)
        chaos = Chaos(cloud, services, random.Random(seed), options.kills)
        asyncio.run(chaos.run())
    kind = "two replicas on PostgreSQL" if options.postgres else "one process on SQLite"
    show(f"chaos: kill -9 at {options.kills} random moments, {kind}, seed {seed}", ("what", "found"), chaos.figures())
    for fault in chaos.faults[:50]:
        print(f"  WRONG: {fault}")
    return not chaos.faults


def _services(stack: contextlib.ExitStack, where: Path, cloud: LocalCloud, *, postgres: bool) -> list[Slipway]:
    if postgres:
        url, _ = stack.enter_context(processes.postgres())
        return [stack.enter_context(processes.serving(where, url, cloud)) for _ in range(2)]
    return [stack.enter_context(processes.serving(where, f"sqlite:///{where}/slipway.db", cloud))]


class Chaos:
    """The rounds, the kills, and what was found wrong."""

    def __init__(self, cloud: LocalCloud, services: Sequence[Slipway], moments: random.Random, kills: int) -> None:
        self._cloud = cloud
        self._services = services
        self._random = moments
        self._kills_left = kills
        self._client = Client(services, moments)
        self.faults = self._client.faults
        self._http = httpx.AsyncClient(timeout=30, trust_env=False)
        self._half = ""
        self._under_way = asyncio.Event()
        self._kills: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._cloud_calls = 0
        self._began = time.monotonic()

    async def run(self) -> None:
        """Create and delete rounds of clusters until the kills are spent; the last round is always finished."""
        killing = asyncio.create_task(self._kill())
        async with self._client, self._http:
            rounds = 0
            while rounds == 0 or self._kills_left:
                rounds += 1
                names = [f"chaos-{rounds}-{number:02}" for number in range(1, CLUSTERS + 1)]
                await self._half_round("create", [self._create(name) for name in names])
                await self._check_active(names)
                await self._half_round("delete", [self._delete(name) for name in names])
                await self._check_nothing_left()
                await self._check_stacks(rounds)
                await self._check_events()
            self._counts["rounds"] = rounds
            await killing

    def figures(self) -> Iterator[tuple[str, object]]:
        """Give what was counted."""
        yield "rounds of 20 clusters", self._counts["rounds"]
        yield "kills during creates", self._kills["create"]
        yield "kills during deletes", self._kills["delete"]
        yield "of all, right after a CreateStack or DeleteStack", self._kills["calling"]
        yield "of all, while starting", self._kills["starting"]
        yield "changes that were cut off and repeated", self._client.counts["cut off"]
        yield f"answers 409 {ALREADY}", self._client.counts[ALREADY]
        yield "answers 503", self._client.counts[UNAVAILABLE]
        yield "operations, all succeeded", self._counts["operations"]
        yield "stacks, each made once", self._counts["stacks"]
        yield "CreateStack calls", self._cloud_calls
        yield "events, none twice", self._counts["events"]
        yield "seconds", round(time.monotonic() - self._began)
        yield "faults", len(self.faults)

    # The kills

    async def _kill(self) -> None:
        while self._kills_left:
            service = self._random.choice(self._services)
            kind = self._random.choice(_MOMENTS)
            await self._moment(kind, service)
            await self._under_way.wait()
            service.kill()
            service.start()
            self._kills_left -= 1
            self._kills[self._half] += 1
            self._kills[kind] += 1
            print(f"\r{self._kills_left} kills left, {self._half} ", end="", flush=True)
        for service in self._services:
            await asyncio.to_thread(service.wait_until_ready)

    async def _moment(self, kind: str, service: Slipway) -> None:
        """Return at a random moment of the kind."""
        if kind == "starting":
            await asyncio.sleep(self._random.uniform(0.1, 1.5))
            return
        await asyncio.to_thread(service.wait_until_ready)
        if kind == "calling":
            made = await self._stack_calls()
            for _ in range(round(CALLING_SECONDS / _LOOK_SECONDS)):
                await asyncio.sleep(_LOOK_SECONDS)
                if await self._stack_calls() != made:
                    break
            await asyncio.sleep(self._random.uniform(0.0, 0.03))
        else:
            await asyncio.sleep(self._random.uniform(0.0, 5.0))

    async def _stack_calls(self) -> int:
        calls = (await self._http.get(f"{self._cloud.endpoint}/_localcloud/calls")).json()
        return int(calls.get("cloudformation:CreateStack", 0) + calls.get("cloudformation:DeleteStack", 0))

    # The client

    async def _half_round(self, half: str, changes: Sequence[Any]) -> None:
        self._half = half
        self._under_way.set()
        try:
            async with asyncio.timeout(HALF_ROUND_SECONDS):
                await asyncio.gather(*changes)
        except TimeoutError:
            self.faults.append(f"{half}: operations had not ended after {HALF_ROUND_SECONDS:.0f} s")
            self._kills_left = 0
        finally:
            self._under_way.clear()

    async def _create(self, name: str) -> None:
        body = {
            "name": name,
            "region": self._cloud.env["AWS_REGION"],
            "network": {"zones": 2, "nat": "none"},
            "logging": {"types": ["api"]},
            "nodegroups": [{"name": "workers", "scaling": {"min": 1, "max": 3, "desired": 2}}],
        }
        await self._client.change("POST", "/clusters", f"POST-{name}", body)

    async def _delete(self, name: str) -> None:
        await self._client.change("DELETE", f"/clusters/{name}", f"DELETE-{name}")

    # What must hold

    async def _check_active(self, names: Sequence[str]) -> None:
        clusters = {item["name"]: item async for item in self._client.all("/clusters")}
        groups = [item async for item in self._client.all("/nodegroups")]
        if sorted(clusters) != sorted(names) or len(groups) != len(names):
            self.faults.append(f"there are {len(clusters)} clusters and {len(groups)} node groups")
        parts = [(f"cluster {name}", item["status"]["phase"]) for name, item in clusters.items()]
        parts += [(f"node group of {item['cluster_id']}", item["status"]["phase"]) for item in groups]
        for name, item in clusters.items():
            addons = item["status"]["addons"]
            parts += [(f"addon {addon['name']} of {name}", addon["phase"]) for addon in addons]
        self.faults += [f"{what} is {phase}" for what, phase in parts if phase != "active"]

    async def _check_nothing_left(self) -> None:
        left = [
            f"{path} {item['name']}" for path in ("/clusters", "/nodegroups") async for item in self._client.all(path)
        ]
        left += [f"log group {group['logGroupName']}" for group in await asyncio.to_thread(self._log_groups)]
        self.faults += [f"{what} is left" for what in left]

    def _log_groups(self) -> list[dict[str, Any]]:
        return list(self._cloud.aws("logs").describe_log_groups(logGroupNamePrefix="/aws/eks/")["logGroups"])

    async def _check_stacks(self, rounds: int) -> None:
        stacks = await asyncio.to_thread(self._cloud.stacks)
        names = Counter(stack["StackName"] for stack in stacks)
        self.faults += [f"stack {name} was made {count} times" for name, count in names.items() if count > 1]
        self.faults += [
            f"stack {stack['StackName']} is left: {stack['StackStatus']}"
            for stack in stacks
            if stack["StackStatus"] != "DELETE_COMPLETE"
        ]
        wanted = rounds * CLUSTERS * STACKS_OF_A_CLUSTER
        if len(names) != wanted:
            self.faults.append(f"{len(names)} stacks were made, not {wanted}")
        self._counts["stacks"] = len(names)
        self._cloud_calls = self._cloud.calls().get("cloudformation:CreateStack", 0)

    async def _check_events(self) -> None:
        operations = {item["id"]: item async for item in self._client.all("/operations")}
        self._counts["operations"] = len(operations)
        for operation in operations.values():
            if operation["status"] != "succeeded":
                self.faults.append(f"{operation['id']} {operation['kind']} is {operation['status']}")
        changes = Counter((item["kind"], item["resource"]["id"]) for item in operations.values())
        self.faults += [f"{kind} of {which} was begun {n} times" for (kind, which), n in changes.items() if n > 1]
        seen: Counter[tuple[str, ...]] = Counter()
        async for event in self._client.all("/events"):
            seen[_identity(event)] += 1
        self._counts["events"] = seen.total()
        self.faults += [f"event {'/'.join(what)} is there {count} times" for what, count in seen.items() if count > 1]
        ended = {what[0] for what in seen if what[1] == "operation.succeeded"}
        self.faults += [f"{operation} has no event of its end" for operation in operations.keys() - ended]


def _identity(event: dict[str, Any]) -> tuple[str, ...]:
    """Return what no two events share; AWS's own are told apart by their stack and time, whoever recorded them."""
    if event["type"] == "stack.event":
        return (event["data"]["stack_id"], event["at"], event["message"])
    return (event["operation_id"], event["type"], event["message"])
