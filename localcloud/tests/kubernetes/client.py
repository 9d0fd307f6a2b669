"""A client of a cluster's API server as kubectl is one: the cluster's CA, and a token signed with IAM keys."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ..conftest import Cloud

Json = dict[str, Any]


def token(key: str, secret: str, cluster: str, region: str = "us-west-2") -> str:
    """What `aws eks get-token` prints."""
    url = f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", url, headers={"x-k8s-aws-id": cluster})
    SigV4QueryAuth(Credentials(key, secret), "sts", region, expires=60).add_auth(request)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(request.url.encode()).decode().rstrip("=")


class Kube:
    """One principal's view of one cluster."""

    def __init__(self, cloud: Cloud, cluster: str, keys: tuple[str, str] | None = None) -> None:
        described = cloud.client("eks").describe_cluster(name=cluster)["cluster"]
        self.endpoint: str = described["endpoint"]
        authority = base64.b64decode(described["certificateAuthority"]["data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        # The strictest check that a Python may make of a CA: 3.13 has it on.
        self._context.verify_flags |= ssl.VERIFY_X509_STRICT
        self._keys = keys or (cloud.env["AWS_ACCESS_KEY_ID"], cloud.env["AWS_SECRET_ACCESS_KEY"])
        self.cluster = cluster

    def call(self, method: str, path: str, body: Any = None, bearer: str | None = None, **headers: str) -> Any:
        """Status and document; a token is signed for each call, unless one (or "") is given."""
        bearer = token(*self._keys, self.cluster) if bearer is None else bearer
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        sent = {"Content-Type": kind, **({"Authorization": f"Bearer {bearer}"} if bearer else {}), **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=180) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def get(self, path: str) -> Json:
        """A document that is there."""
        status, found = self.call("GET", path)
        assert status == 200, (path, found)
        return found

    def make(self, path: str, body: Json) -> Json:
        """Creates an object; that it exists is as good."""
        status, made = self.call("POST", path, body)
        assert status in (201, 409), made
        return made

    def until(self, path: str, good: Callable[[Json], Any], seconds: float = 240) -> Json:
        """Asks until the document is good: a busy machine needs a minute for a control plane."""
        end = time.monotonic() + seconds
        while True:
            try:
                status, found = self.call("GET", path)
            except OSError as error:
                status, found = 0, {"error": repr(error)}
            if status == 200 and good(found):
                return found
            assert time.monotonic() < end, (path, found)
            time.sleep(0.1)

    def nodes(self, count: int, good: Callable[[Json], Any] = lambda node: True, group: str = "") -> list[Json]:
        """The nodes (of a node group), once there are so many, all Ready and good."""
        path = "/api/v1/nodes" + (f"?labelSelector=eks.amazonaws.com/nodegroup%3D{group}" if group else "")
        return self.until(path, lambda d: len(d["items"]) == count and all(ready(n) and good(n) for n in d["items"]))[
            "items"
        ]

    def pods(self, namespace: str, app: str, good: Callable[[list[Json]], Any]) -> list[Json]:
        """The pods with the label `app`, once the list is good."""
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{app}"
        return self.until(path, lambda d: good(d["items"]))["items"]

    def events(self, namespace: str, name: str, *wanted: str) -> list[tuple[str, str]]:
        """Reason and message of what happened to an object, once these are among them: they come after its status."""
        path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3D{name}"

        def told(document: Json) -> list[tuple[str, str]]:
            return [(e["reason"], e["message"]) for e in document["items"]]

        return told(self.until(path, lambda d: {word for pair in told(d) for word in pair}.issuperset(wanted)))


def ready(thing: Json) -> bool:
    """Whether a node or pod has the condition Ready."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in thing["status"].get("conditions", []))


def unschedulable(pod: Json) -> str:
    """Why no node takes a pod; "" if one does, or the scheduler has not looked yet."""
    conditions = pod["status"].get("conditions", [])
    return next((c.get("message", "") for c in conditions if c.get("reason") == "Unschedulable"), "")


def container(image: str, name: str = "main") -> Json:
    """A container."""
    return {"name": name, "image": image}


def deployment(name: str, image: str, replicas: int = 1, **pod: Any) -> Json:
    """A Deployment of pods with the label `app`."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container(image)], **pod}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def job(name: str, image: str, policy: str = "Never") -> Json:
    """A Job that tries once."""
    spec = {"containers": [container(image)], "restartPolicy": policy}
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    }  # fmt: skip


DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
