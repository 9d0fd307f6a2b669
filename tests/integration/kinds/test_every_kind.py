"""What every kind of resource does, for each entry of KINDS: who adds a kind adds no test here, and may break none."""

import json
from typing import Any

import pytest
from integration.running import REGION, Json, Slipway, pointers

from app.access.models import ApiKey
from app.access.service import hash_of
from app.accounts.models import Project
from app.clusters.view import ClusterView
from app.core.ids import new_id
from app.kinds.all import KINDS
from app.kinds.kind import Kind

VIEW = ClusterView(
    id="clu_" + "0" * 26,
    name="shop",
    project_id="",
    account_id="",
    region=REGION,
    phase="creating",
    version="1.34",
    ip_family="ipv4",
    outputs={},
    facts={},
)

OWN = {type_: kind for type_, kind in KINDS.items() if not kind.managed}
"""Those with routes of their own; what its cluster manages is looked at with the cluster."""
OF_CLUSTERS = {type_: kind for type_, kind in OWN.items() if "cluster" in kind.scope.fields}

every_kind = pytest.mark.parametrize("thing", OWN.values(), ids=OWN, indirect=True)
every_kind_of_clusters = pytest.mark.parametrize("thing", OF_CLUSTERS.values(), ids=OF_CLUSTERS, indirect=True)

NOBODYS: dict[str, tuple[Json, tuple[int, str]]] = {
    "cluster": ({"cluster": "no-such-cluster"}, (404, "cluster_not_found")),
    "region": ({"account": "no-such-account"}, (422, "account_not_found")),
}
"""By what tells a kind's owners apart: an owner that is not there, and what a caller is told."""


class Thing:
    """A kind on a running service: what a caller sends and asks."""

    def __init__(self, kind: Kind[Any], slipway: Slipway) -> None:
        self.kind = kind
        self.slipway = slipway
        stack = kind.template(f"{kind.prefix}_{'0' * 26}", self.spec(kind.example), kind.scope.beside(VIEW), {})
        types = [resource["Type"] for resource in json.loads(stack.body)["Resources"].values()]
        self.aws_type = next(type_ for type_ in types[::-1] if type_.startswith(("AWS::EKS::", "AWS::ECR::")))
        given = {"cluster": slipway.name, "region": REGION, "account": "default"}
        self.own = {name: given[name] for name in kind.scope.fields}
        """What names its owner."""
        self.nobodys, self.not_there = NOBODYS[kind.scope.query]

    def spec(self, document: Any) -> Any:
        return self.kind.spec.model_validate(document)

    def body(self, number: int = 1) -> Json:
        """Return the kind's own example, of this test's own; each number gives another name."""
        body, last = {**self.kind.example, **self.own}, self.kind.identity[-1]
        if self.kind.type not in OF_CLUSTERS:
            body[last] = f"{self.slipway.name}/{body[last]}"  # the account is that of other tests, too
        if number > 1:
            body[last] += str(number)
        return body

    def name(self, number: int = 1) -> str:
        return self.kind.name_of(self.spec(self.body(number)))

    def within(self, number: int = 1) -> Json:
        """Return the same as it stands in a cluster's own request."""
        return {name: value for name, value in self.body(number).items() if name not in self.own}

    def cluster(self) -> Json:
        """Return a cluster to send."""
        name, network = self.slipway.name, {"zones": 2, "nat": "none"}
        return {"name": name, "region": REGION, "addons": [], "network": network}

    async def owner(self) -> None:
        """Make what it belongs to, if that is not there."""
        if self.kind.type in OF_CLUSTERS:
            await self.slipway.cluster(self.slipway.name)

    async def create(self, number: int = 1) -> Json:
        return await self.slipway.change("POST", self.kind.path, self.body(number))

    async def path(self, number: int = 1) -> str:
        """Return the path of a resource by its id: a name may hold slashes."""
        [found] = (await self.slipway.get(self.kind.path, name=self.name(number)))["items"]
        return f"{self.kind.path}/{found['id']}"

    async def there(self) -> str:
        """Create one, with its cluster if it has one; return its path."""
        if self.kind.type in OF_CLUSTERS:
            await self.slipway.do("POST", "/clusters", {**self.cluster(), self.kind.plural: [self.within()]})
        else:
            await self.slipway.wait(await self.create())
        return await self.path()

    def code(self, what: str) -> str:
        return f"{self.kind.type}_{what}"


@pytest.fixture
def thing(request: pytest.FixtureRequest, slipway: Slipway) -> Thing:
    return Thing(request.param, slipway)


def test_codes_and_words_are_what_clients_expect() -> None:
    for kind in KINDS.values():
        codes = (kind.codes.not_found, kind.codes.exists, kind.codes.deleting)
        assert codes == (f"{kind.type}_not_found", f"{kind.type}_exists", f"{kind.type}_deleting")
        assert all(rule.strip("/").split("/")[0] in kind.spec.model_fields for rule in kind.fixed)
        assert all(name in kind.spec.model_fields for name in kind.identity)
        kind.spec.model_validate({**kind.example})
        kind.outputs.model_validate({**kind.example_outputs})
        if not kind.managed:  # the spec of what its cluster manages stands in the cluster's
            assert (kind.stage is None) == (kind.type not in OF_CLUSTERS)
            assert {*kind.scope.fields} <= kind.spec.model_fields.keys()
    assert len({kind.prefix for kind in KINDS.values()}) == len({kind.plural for kind in KINDS.values()}) == len(KINDS)


@every_kind
async def test_life(thing: Thing) -> None:
    """Create, same name, read, change, what cannot be changed, delete; alone."""
    slipway, kind = thing.slipway, thing.kind
    await thing.owner()
    before = await slipway.leftovers()
    created = await slipway.wait(await thing.create())
    assert (created["kind"], created["status"]) == (f"{kind.type}.create", "succeeded"), created
    assert created["resource"]["type"] == kind.type
    path = await thing.path()
    found = await slipway.get(path)
    assert (found["name"], found["status"]["phase"], found["generation"]) == (thing.name(), "active", 1)
    assert found["status"]["outputs"]["arn"].startswith(f"arn:aws:{thing.aws_type.split('::')[1].lower()}:")
    sent = thing.spec(thing.body()).model_dump(mode="json")
    assert {name: found["spec"][name] for name in thing.body()} == {name: sent[name] for name in thing.body()}
    assert {entry["type"]: entry["status"] for entry in found["status"]["conditions"]} == {
        "Ready": "True",
        "Synced": "True",
    }
    if "/" not in thing.name():
        assert (await slipway.get(f"{kind.path}/{thing.name()}"))["id"] == found["id"]

    problem = await slipway.refused("POST", kind.path, thing.body())
    assert (problem["status"], problem["code"]) == (409, thing.code("exists"))
    assert problem[f"{kind.type}_id"] == found["id"]
    problem = await slipway.refused("POST", kind.path, {**thing.body(2), "unheard_of": 1})
    assert (problem["status"], pointers(problem)) == (422, ["/unheard_of"])
    problem = await slipway.refused("POST", kind.path, {**thing.body(2), **thing.nobodys})
    assert (problem["status"], problem["code"]) == thing.not_there
    problem = await slipway.refused("PATCH", path, {kind.identity[-1]: thing.body(2)[kind.identity[-1]]})
    assert (problem["status"], problem["code"]) == (422, "immutable_field")
    assert pointers(problem) == [f"/{kind.identity[-1]}"]
    for name in kind.scope.fields:
        problem = await slipway.refused("PATCH", path, {name: "eu-west-1"})
        assert (problem["status"], pointers(problem)) == (422, [f"/{name}"])

    patched = await slipway.do("PATCH", path, dict(kind.patch_example))
    assert (patched["kind"], [step["name"] for step in patched["steps"]]) == (f"{kind.type}.update", ["update_stack"])
    found = await slipway.get(path)
    assert (found["generation"], found["status"]["observed_generation"]) == (2, 2)
    answer = await slipway.client.patch(path, json=dict(kind.patch_example), headers={"If-Match": '"1"'})
    assert answer.status_code == 412

    deleted = await slipway.do("DELETE", path)
    assert deleted["kind"] == f"{kind.type}.delete"
    problem = await slipway.refused("GET", path)
    assert (problem["status"], problem["code"]) == (404, thing.code("not_found"))
    assert await slipway.leftovers() == before
    gone = (await slipway.get(kind.path, include_deleted="true", name=thing.name()))["items"]
    assert [item["id"] for item in gone] == [found["id"]]


@every_kind
async def test_in_the_request_of_a_cluster(thing: Thing) -> None:
    """And with the cluster's delete, in order, if it belongs to the cluster."""
    slipway, kind = thing.slipway, thing.kind
    body = thing.cluster()
    wrong = {**body, kind.plural: [thing.within(), {**thing.within(), "unheard_of": 1}, thing.within()]}
    problem = await slipway.refused("POST", "/clusters", wrong)
    place = f"/{kind.plural}/2/{kind.identity[0]}"
    assert (problem["status"], set(pointers(problem))) == (422, {f"/{kind.plural}/1/unheard_of", place})
    elsewhere = dict.fromkeys(kind.scope.fields, "eu-west-1")
    problem = await slipway.refused("POST", "/clusters", {**body, kind.plural: [{**thing.body(), **elsewhere}]})
    assert pointers(problem) == [f"/{kind.plural}/0/{name}" for name in kind.scope.fields]

    parent = await slipway.do("POST", "/clusters", {**body, kind.plural: [thing.within()]})
    assert parent["kind"] == "cluster.apply"
    child = await slipway.child(parent, f"{kind.type}.create")
    cluster = await slipway.child(parent, "cluster.create")
    needs = [cluster["id"]] if kind.type in OF_CLUSTERS else []
    assert (child["status"], child["depends_on"]) == ("succeeded", needs)
    path = await thing.path()
    assert {name: (await slipway.get(path))["spec"][name] for name in thing.own} == thing.own

    deleted = await slipway.do("DELETE", f"/clusters/{slipway.name}")
    if kind.type not in OF_CLUSTERS:
        assert (deleted["children"], (await slipway.get(path))["status"]["phase"]) == ([], "active")
        return
    child = await slipway.child(deleted, f"{kind.type}.delete")
    assert (child["status"], child["id"] in deleted["depends_on"]) == ("succeeded", True)
    assert (await slipway.client.get(path)).status_code == 404
    problem = await slipway.refused("POST", kind.path, thing.body())
    assert (problem["status"], problem["code"]) == (404, "cluster_not_found")


@every_kind_of_clusters
async def test_it_waits_for_its_cluster_and_falls_with_it(thing: Thing) -> None:
    slipway, kind = thing.slipway, thing.kind
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Cluster", "delay": 1, "fail": "no", "times": 1}])
    body = thing.cluster()
    cluster = await slipway.change("POST", "/clusters", body)
    created = await thing.create()
    assert (created["status"], created["depends_on"]) == ("pending", [cluster["id"]])
    assert (await slipway.wait(created))["error"]["code"] == "dependency_failed"
    path = await thing.path()
    assert (await slipway.get(path))["status"]["phase"] == "failed"
    problem = await slipway.refused("POST", kind.path, thing.body(2))
    assert (problem["status"], problem["code"]) == (409, "cluster_not_ready")
    # The cluster is put right, and so is what waited for it.
    assert (await slipway.wait(await slipway.change("POST", f"/operations/{cluster['id']}/retry")))["error"] is None
    await slipway.do("POST", f"/operations/{created['id']}/retry")
    assert (await slipway.get(path))["status"]["phase"] == "active"


@every_kind
async def test_failure_and_retry(thing: Thing) -> None:
    """A root cause in AWS's words; a retry, and a patch, take it up again."""
    slipway, kind = thing.slipway, thing.kind
    await thing.owner()
    slipway.cloud.rules([{"op": "create", "type": thing.aws_type, "fail": "It is not allowed today", "times": 2}])
    failed = await slipway.wait(await thing.create())
    cause = failed["error"]["cause"]
    assert (cause["type"], cause["message"]) == (thing.aws_type, "It is not allowed today")
    path = await thing.path()
    assert (await slipway.get(path))["status"]["phase"] == "failed"
    again = await slipway.wait(await slipway.change("POST", f"/operations/{failed['id']}/retry"))
    assert (again["status"], again["retry_of"]) == ("failed", failed["id"])
    await slipway.do("PATCH", path, dict(kind.patch_example))
    assert (await slipway.get(path))["status"]["phase"] == "active"

    slipway.cloud.rules([{"op": "delete", "type": thing.aws_type, "fail": "stuck", "times": 2}])
    stuck = await slipway.wait(await slipway.change("DELETE", path))
    assert stuck["status"] == "failed"
    await slipway.do("POST", f"/operations/{stuck['id']}/retry")
    assert (await slipway.client.get(path)).status_code == 404


@every_kind
async def test_a_create_is_cancelled_or_superseded(thing: Thing) -> None:
    slipway = thing.slipway
    await thing.owner()
    before = await slipway.leftovers()
    for number, how in enumerate(("cancel", "delete"), 1):
        slipway.cloud.rules([{"op": "create", "type": thing.aws_type, "delay": 60}])
        operation = await thing.create(number)
        await slipway.until(f"/operations/{operation['id']}", lambda found: found["status"] == "running")
        path = await thing.path(number)
        if how == "cancel":
            await slipway.change("POST", f"/operations/{operation['id']}/cancel")
        else:
            await slipway.do("DELETE", path)
        assert (await slipway.wait(operation))["status"] == "cancelled"
        assert (await slipway.client.get(path)).status_code == 404
    assert await slipway.leftovers() == before


@every_kind
async def test_a_dry_run_begins_nothing(thing: Thing) -> None:
    slipway, kind = thing.slipway, thing.kind
    path = await thing.there()
    operations = await slipway.count("operations")

    async def plan(method: str, where: str, body: Json | None = None) -> Json:
        answer = await slipway.client.request(method, where, params={"dry_run": "true"}, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    made = await plan("POST", kind.path, thing.body(2))
    assert made["steps"] == [{"kind": f"{kind.type}.create", "resource": thing.name(2)}]
    assert {change["action"] for change in made["stacks"][0]["resources"]} == {"add"}
    changed = await plan("PATCH", path, dict(kind.patch_example))
    assert changed["steps"] == [{"kind": f"{kind.type}.update", "resource": thing.name()}]
    assert changed["spec_diff"]
    assert {change["action"] for change in changed["stacks"][0]["resources"]} <= {"modify", "add", "remove"}
    assert changed["stacks"][0]["resources"]
    gone = await plan("DELETE", path)
    assert {change["action"] for change in gone["stacks"][0]["resources"]} == {"remove"}
    nothing = await plan("PATCH", path, {})
    assert nothing["spec_diff"] == nothing["stacks"][0]["resources"] == []
    for body, status in (({**thing.body(2), "unheard_of": 1}, 422), (thing.body(), 409)):
        answer = await slipway.client.post(kind.path, params={"dry_run": "true"}, json=body)
        assert answer.status_code == status
    assert await slipway.count("operations") == operations
    assert (await slipway.get(path))["generation"] == 1


@every_kind
async def test_lists_and_the_wall_between_projects(thing: Thing) -> None:
    slipway, kind = thing.slipway, thing.kind
    path = await thing.there()
    created = [
        await slipway.change("POST", kind.path, {**thing.body(number), "tags": {"n": str(number)}}) for number in (2, 3)
    ]
    for operation in created:
        assert (await slipway.wait(operation))["status"] == "succeeded"
    owner = {kind.scope.query: thing.own[kind.scope.query]}
    first = await slipway.get(kind.path, limit=2, **owner)
    second = await slipway.get(kind.path, limit=2, **owner, page_token=first["next_page_token"])
    found = [item["name"] for item in (*first["items"], *second["items"])]
    assert found == [thing.name(number) for number in (3, 2, 1)]
    tagged = (await slipway.get(kind.path, tag="n=2"))["items"]
    assert [item["name"] for item in tagged] == [thing.name(2)]

    key, project = "k" * 40, new_id("prj")
    async with slipway.app.state.database.write() as session:
        session.add(Project(id=project, name="other"))
        await session.flush()
        session.add(ApiKey(id=new_id("key"), project_id=project, name="other", key_hash=hash_of(key)))
    foreign = {"headers": {"Authorization": f"Bearer {key}"}}
    for method, body in (("GET", None), ("PATCH", dict(kind.patch_example)), ("DELETE", None)):
        problem = await slipway.refused(method, path, body, **foreign)
        assert (problem["status"], problem["code"]) == (404, thing.code("not_found"))
    answer = await slipway.client.get(kind.path, **foreign)
    assert answer.json()["items"] == []
    problem = await slipway.refused("POST", kind.path, thing.body(4), **foreign)
    assert problem["code"] == thing.not_there[1]


@every_kind
async def test_a_webhook_hears_of_it(thing: Thing) -> None:
    """Its operations and its phases, under its own type, filtered by its tags."""
    slipway, kind = thing.slipway, thing.kind
    await thing.owner()
    body = {
        "url": "https://192.0.2.1/hook",
        "events": ["operation.succeeded", f"{kind.type}.phase_changed"],
        "resource_types": [kind.type],
        "tags": {"team": "told"},
    }
    made = await slipway.client.post("/webhooks", json=body)
    assert made.status_code == 201, made.text
    await slipway.wait(await thing.create(2))
    told = await slipway.wait(await slipway.change("POST", kind.path, {**thing.body(), "tags": {"team": "told"}}))
    assert told["status"] == "succeeded"
    path = f"/webhooks/{made.json()['id']}/deliveries"
    found = await slipway.until(path, lambda page: len(page["items"]) >= 3)
    events = sorted(item["event"] for item in found["items"])
    assert events == sorted([f"{kind.type}.phase_changed"] * 2 + ["operation.succeeded"])
