"""The EKS REST API: our operations by method and path; ministack answers the rest."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core.iam_evaluator import caller_arn
from ministack.services import eks

from ..errors import AwsError
from . import access, addons, catalog, clusters, fargate, nodegroups
from . import records as r

Response = tuple[int, dict[str, str], bytes]
Reply = dict[str, Any]


class Call:
    """One request."""

    def __init__(self, groups: tuple[str, ...], body: dict[str, Any], query: dict[str, list[str]]) -> None:
        self.path = [urllib.parse.unquote(group) for group in groups]
        self.body = body
        self._query = query

    def one(self, name: str) -> str:
        """One query parameter, or ""."""
        return (self._query.get(name) or [""])[0]

    def many(self, name: str) -> list[str]:
        """A repeated query parameter."""
        return self._query.get(name) or []

    def page(self, key: str, items: list[Any]) -> Reply:
        """A page of a list, as EKS cuts it."""
        size = int(self.one("maxResults") or 100)
        start = int(self.one("nextToken") or 0)
        reply: Reply = {key: items[start : start + size]}
        if start + size < len(items):
            reply["nextToken"] = str(start + size)
        return reply


Operation = Callable[[Call], Reply]
_ROUTES: list[tuple[str, re.Pattern[str], Operation]] = []


def _route(method: str, path: str) -> Callable[[Operation], Operation]:
    pattern = re.compile(re.sub(r"\{\w+\}", "([^/]+)", path))

    def add(operation: Operation) -> Operation:
        _ROUTES.append((method, pattern, operation))
        return operation

    return add


def _soon(action: Callable[[], Any]) -> None:
    """What EKS does in the background it does here in a moment."""
    asyncio.get_running_loop().call_later(0.05, action)


def _done(update: r.Record, action: Callable[[], Any]) -> Reply:
    def finish() -> None:
        action()
        update["status"] = "Successful"

    _soon(finish)
    return {"update": r.public(update)}


@_route("POST", "/clusters")
def _create_cluster(call: Call) -> Reply:
    creator = caller_arn()
    record = clusters.create(call.body, eks._role_arn_from_assumed_role(creator) or creator)
    _soon(lambda: clusters.finish(record))
    return {"cluster": {**r.public(record), "certificateAuthority": {}}}


@_route("GET", "/clusters")
def _list_clusters(call: Call) -> Reply:
    return call.page("clusters", sorted(eks._clusters.keys()))


@_route("GET", "/clusters/{name}")
def _describe_cluster(call: Call) -> Reply:
    return {"cluster": r.public(r.cluster(call.path[0]))}


@_route("DELETE", "/clusters/{name}")
def _delete_cluster(call: Call) -> Reply:
    return {"cluster": r.public(clusters.remove(call.path[0]))}


@_route("POST", "/clusters/{name}/update-config")
def _update_cluster_config(call: Call) -> Reply:
    update = clusters.start_config_update(call.path[0], call.body)
    return _done(update, lambda: clusters.finish(r.cluster(call.path[0])))


@_route("POST", "/clusters/{name}/updates")
def _update_cluster_version(call: Call) -> Reply:
    version = call.body.get("version", "")
    update = clusters.start_version_update(call.path[0], version)
    return _done(update, lambda: clusters.finish_version_update(r.cluster(call.path[0]), version))


def _updates_of(call: Call) -> list[r.Record]:
    other = call.one("nodegroupName") or call.one("addonName")
    r.cluster(call.path[0])
    return [update for update in r.updates.values() if update["_of"] == (call.path[0], other)]


@_route("GET", "/clusters/{name}/updates")
def _list_updates(call: Call) -> Reply:
    return call.page("updateIds", [update["id"] for update in _updates_of(call)])


@_route("GET", "/clusters/{name}/updates/{id}")
def _describe_update(call: Call) -> Reply:
    found = [update for update in _updates_of(call) if update["id"] == call.path[1]]
    if not found:
        raise r.missing(f"No update found for ID: {call.path[1]}")
    return {"update": r.public(found[0])}


@_route("POST", "/clusters/{name}/node-groups")
def _create_nodegroup(call: Call) -> Reply:
    record = nodegroups.create(call.path[0], call.body)
    _soon(lambda: nodegroups.finish(record))
    return {"nodegroup": r.public(record)}


@_route("GET", "/clusters/{name}/node-groups")
def _list_nodegroups(call: Call) -> Reply:
    r.cluster(call.path[0])
    names = sorted(record["nodegroupName"] for record in r.of_cluster(eks._nodegroups, call.path[0]))
    return call.page("nodegroups", names)


@_route("GET", "/clusters/{name}/node-groups/{group}")
def _describe_nodegroup(call: Call) -> Reply:
    return {"nodegroup": r.public(r.nodegroup(*call.path))}


@_route("DELETE", "/clusters/{name}/node-groups/{group}")
def _delete_nodegroup(call: Call) -> Reply:
    return {"nodegroup": r.public(nodegroups.remove(*call.path))}


@_route("POST", "/clusters/{name}/node-groups/{group}/update-config")
def _update_nodegroup_config(call: Call) -> Reply:
    update = nodegroups.start_config_update(call.path[0], call.path[1], call.body)
    return _done(update, lambda: r.nodegroup(*call.path).update(status="ACTIVE"))


@_route("POST", "/clusters/{name}/node-groups/{group}/update-version")
def _update_nodegroup_version(call: Call) -> Reply:
    update = nodegroups.start_version_update(call.path[0], call.path[1], call.body)
    return _done(update, lambda: nodegroups.finish_version_update(r.nodegroup(*call.path), update, call.body))


@_route("POST", "/clusters/{name}/addons")
def _create_addon(call: Call) -> Reply:
    record = addons.create(call.path[0], call.body)
    _soon(lambda: addons.settle(record))
    return {"addon": r.public(record)}


@_route("GET", "/clusters/{name}/addons")
def _list_addons(call: Call) -> Reply:
    r.cluster(call.path[0])
    return call.page("addons", sorted(record["addonName"] for record in r.of_cluster(eks._addons, call.path[0])))


@_route("GET", "/clusters/{name}/addons/{addon}")
def _describe_addon(call: Call) -> Reply:
    record = r.addon(*call.path)
    if r.now() - record["createdAt"] > 0.05:
        addons.settle(record)
    return {"addon": r.public(record)}


@_route("DELETE", "/clusters/{name}/addons/{addon}")
def _delete_addon(call: Call) -> Reply:
    return {"addon": r.public(addons.remove(*call.path))}


@_route("POST", "/clusters/{name}/addons/{addon}/update")
def _update_addon(call: Call) -> Reply:
    update = addons.change(call.path[0], call.path[1], call.body)
    return _done(update, lambda: addons.settle(r.addon(*call.path)))


@_route("POST", "/clusters/{name}/fargate-profiles")
def _create_fargate_profile(call: Call) -> Reply:
    record = fargate.create(call.path[0], call.body)
    _soon(lambda: record.update(status="ACTIVE"))
    return {"fargateProfile": r.public(record)}


@_route("GET", "/clusters/{name}/fargate-profiles")
def _list_fargate_profiles(call: Call) -> Reply:
    r.cluster(call.path[0])
    found = r.of_cluster(r.fargate_profiles, call.path[0])
    return call.page("fargateProfileNames", sorted(record["fargateProfileName"] for record in found))


@_route("GET", "/clusters/{name}/fargate-profiles/{profile}")
def _describe_fargate_profile(call: Call) -> Reply:
    return {"fargateProfile": r.public(r.fargate_profile(*call.path))}


@_route("DELETE", "/clusters/{name}/fargate-profiles/{profile}")
def _delete_fargate_profile(call: Call) -> Reply:
    return {"fargateProfile": r.public(fargate.remove(*call.path))}


@_route("POST", "/clusters/{name}/access-entries")
def _create_access_entry(call: Call) -> Reply:
    return {"accessEntry": access.create_entry(call.path[0], call.body)}


@_route("GET", "/access-policies")
def _list_access_policies(call: Call) -> Reply:
    return call.page("accessPolicies", access.list_policies())


@_route("POST", "/clusters/{name}/insights")
def _list_insights(call: Call) -> Reply:
    record = r.cluster(call.path[0])
    return {"insights": [_insight(record)]}


@_route("GET", "/clusters/{name}/insights/{id}")
def _describe_insight(call: Call) -> Reply:
    insight = _insight(r.cluster(call.path[0]))
    if insight["id"] != call.path[1]:
        raise r.missing(f"No insight found for ID: {call.path[1]}")
    return {"insight": insight}


def _insight(record: r.Record) -> Reply:
    """One check that always passes: nothing runs here that could use an API about to go away."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, record["arn"])),
        "name": "Deprecated APIs removed in the next Kubernetes version",
        "category": "UPGRADE_READINESS",
        "kubernetesVersion": f"1.{catalog.minor(record['version']) + 1}",
        "lastRefreshTime": r.now(),
        "lastTransitionTime": record["createdAt"],
        "description": "Checks for usage of deprecated APIs.",
        "insightStatus": {"status": "PASSING", "reason": "No deprecated API usage detected."},
    }


@_route("GET", "/cluster-versions")
def _describe_cluster_versions(call: Call) -> Reply:
    wanted, state = call.many("clusterVersions"), call.one("versionStatus")
    state = state or call.one("status").upper().replace("-", "_")
    found = [v for v in catalog.describe_versions() if not wanted or v["clusterVersion"] in wanted]
    if call.one("defaultOnly") == "true":
        found = [v for v in found if v["defaultVersion"]]
    if not wanted and not state and call.one("includeAll") != "true":
        found = [v for v in found if v["versionStatus"] != "UNSUPPORTED"]
    return call.page("clusterVersions", [v for v in found if state in ("", v["versionStatus"])])


@_route("GET", "/addons/supported-versions")
def _describe_addon_versions(call: Call) -> Reply:
    return call.page("addons", catalog.addon_versions(call.one("kubernetesVersion"), call.one("addonName")))


@_route("GET", "/addons/configuration-schemas")
def _describe_addon_configuration(call: Call) -> Reply:
    name, version = call.one("addonName"), call.one("addonVersion")
    schema = catalog.configuration_schema(name, version)
    return {"addonName": name, "addonVersion": version, "configurationSchema": schema}


async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]) -> Response:
    """Answers an EKS request, or lets ministack do so."""
    for verb, pattern, operation in _ROUTES:
        match = pattern.fullmatch(path)
        if verb == method and match:
            try:
                reply = operation(Call(match.groups(), json.loads(body or b"{}"), query))
            except AwsError as error:
                return _refusal(error)
            return 200, {"Content-Type": "application/json"}, json.dumps(reply).encode()
    response: Response = await _upstream(method, path, headers, body, query)
    return response


_upstream = eks.handle_request


def _refusal(error: AwsError) -> Response:
    body = {"__type": error.code, "message": error.message}
    headers = {"Content-Type": "application/json", "x-amzn-errortype": error.code}
    return error.status, headers, json.dumps(body).encode()
