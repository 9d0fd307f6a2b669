"""Keeps a plane's nodes and access rules as the EKS records want them.

It remembers what it applied and touches nothing else: labels, taints and bindings that users make stay.
It blocks: it runs in the plane's own thread.
"""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from .api import APPLY, MERGE, Api, ApiError
from .nodes import Node, taint_objects

Json = dict[str, Any]
_LOG = logging.getLogger(__name__)
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_FAILURES = (ApiError, OSError, http.client.HTTPException)


class Sync:
    """What was applied to one plane."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._access: dict[str, tuple[Json, str]] = {}

    def apply(self, api: Api, nodes: dict[str, Node], access: list[Json], namespaces: dict[str, str]) -> bool:
        """One pass; `namespaces` gives their uids. Returns whether all is in place: if not, try again soon."""
        wanted = {path: (obj, uid) for obj in access for path, uid in [_identity(obj, namespaces)]}
        steps: list[Callable[[], None]] = []
        for path, entry in wanted.items():
            if self._access.get(path) != entry:
                steps.append(lambda path=path, entry=entry: self._bind(api, path, entry))  # type: ignore[misc]
        for path in self._access.keys() - wanted.keys():
            steps.append(lambda path=path: self._unbind(api, path))  # type: ignore[misc]
        for name, node in nodes.items():
            if self._nodes.get(name) != node:
                steps.append(lambda node=node: self._put(api, node))  # type: ignore[misc]
        # New nodes first: what ran on those that go finds a place.
        for name in self._nodes.keys() - nodes.keys():
            steps.append(lambda name=name: self._remove(api, name))  # type: ignore[misc]
        return all([_done(step) for step in steps])

    def _bind(self, api: Api, path: str, entry: tuple[Json, str]) -> None:
        api.request("PATCH", f"{path}?fieldManager=eks&force=true", entry[0], APPLY)
        self._access[path] = entry

    def _unbind(self, api: Api, path: str) -> None:
        _delete(api, path)
        del self._access[path]

    def _put(self, api: Api, node: Node) -> None:
        before = self._nodes.get(node.name)
        if before is None:
            try:
                api.request("POST", "/api/v1/nodes", node.manifest())
            except ApiError as error:
                if error.status != 409:
                    raise
        else:
            _change(api, before, node)
        self._nodes[node.name] = node

    def _remove(self, api: Api, name: str) -> None:
        """Cordons and drains the node (at once, whatever a PodDisruptionBudget says), then takes it away."""
        path = f"/api/v1/nodes/{name}"
        try:
            api.request("PATCH", path, {"spec": {"unschedulable": True}}, MERGE)
        except ApiError as error:
            if error.status != 404:
                raise
        _clear(api, name)
        _delete(api, path)
        # DaemonSets ignore a cordon: what they made in between.
        _clear(api, name)
        del self._nodes[name]


def _done(step: Callable[[], None]) -> bool:
    try:
        step()
    except _FAILURES as error:
        _LOG.info("not yet: %s", error)
        return False
    return True


def _identity(obj: Json, namespaces: dict[str, str]) -> tuple[str, str]:
    """An access object's path, and the uid of its namespace: in one made anew it has to be made anew."""
    plural = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings", "RoleBinding": "rolebindings"}
    meta = obj["metadata"]
    namespace = meta.get("namespace", "")
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{_RBAC}{inside}/{plural[obj['kind']]}/{meta['name']}", namespaces.get(namespace, "")


def _clear(api: Api, node: str) -> None:
    """Deletes the pods of a node, without the time to end that a kubelet would give them."""
    for pod in api.request("GET", f"/api/v1/pods?fieldSelector={quote('spec.nodeName=' + node)}")["items"]:
        meta = pod["metadata"]
        _delete(api, f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}?gracePeriodSeconds=0")


def _delete(api: Api, path: str) -> None:
    try:
        api.request("DELETE", path)
    except ApiError as error:
        if error.status != 404:
            raise


def _change(api: Api, before: Node, after: Node) -> None:
    """Labels and taints in place, as EKS does; those that others set stay."""
    path = f"/api/v1/nodes/{after.name}"
    live = api.request("GET", path)
    gone = {key: None for key in before.labels.keys() - after.labels.keys()}
    ours = {(key, effect) for node in (before, after) for key, _, effect in node.taints}
    others = [taint for taint in live["spec"].get("taints", []) if (taint["key"], taint["effect"]) not in ours]
    body = {
        # The version makes it fail, and be tried again, if somebody changes the taints in between.
        "metadata": {"labels": {**after.labels, **gone}, "resourceVersion": live["metadata"]["resourceVersion"]},
        "spec": {"taints": [*others, *taint_objects(after.taints)]},
    }
    api.request("PATCH", path, body, MERGE)
