"""From an IAM key to what Kubernetes allows: token, API server, token review, access entry, RBAC."""

from __future__ import annotations

import time

import pytest

from .client import Kube, token
from .conftest import Running

pytestmark = pytest.mark.kubernetes
_POLICY = "arn:aws:eks::aws:cluster-access-policy/"
CONFIGMAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}


def new_user(running: Running, name: str) -> tuple[str, tuple[str, str]]:
    """An IAM user: ARN and keys."""
    iam = running.cloud.client("iam")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return arn, (key["AccessKeyId"], key["SecretAccessKey"])


def statuses(kube: Kube, wanted: list[int], *calls: tuple[str, str]) -> None:
    """Waits until these calls are answered so: the API server keeps a token's review for two seconds."""
    end = time.monotonic() + 90
    while True:
        got = [kube.call(verb, path, CONFIGMAP if verb == "POST" else None)[0] for verb, path in calls]
        if got == wanted:
            return
        assert time.monotonic() < end, (got, wanted)
        time.sleep(0.1)


def test_the_creator_is_administrator(kube: Kube) -> None:
    """By an access entry and RBAC, not as system:masters."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    user = kube.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)[1]["status"]["userInfo"]
    assert user["username"] == "arn:aws:iam::123456789012:user/developer"
    assert "system:masters" not in user["groups"]
    assert kube.call("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles")[0] == 200
    assert kube.call("POST", "/api/v1/namespaces/default/configmaps", CONFIGMAP)[0] == 201


def test_who_is_not_let_in(kube: Kube, running: Running) -> None:
    """No token, a wrong secret, another cluster's token, a user without an access entry."""
    path = "/api/v1/namespaces"
    key = running.cloud.env["AWS_ACCESS_KEY_ID"]
    secret = running.cloud.env["AWS_SECRET_ACCESS_KEY"]
    assert kube.call("GET", path, bearer="")[0] == 403
    assert kube.call("GET", path, bearer=token(key, "wrong", kube.cluster))[0] == 401
    assert kube.call("GET", path, bearer=token(key, secret, "another"))[0] == 401
    assert kube.call("GET", path, bearer="k8s-aws-v1.nonsense")[0] == 401
    _, keys = new_user(running, "stranger")
    assert Kube(running.cloud, "shared", keys).call("GET", path)[0] == 401


def test_access_policies_count_as_they_change(kube: Kube, running: Running) -> None:
    """Whole cluster, one namespace that comes later, another policy, and no entry any more."""
    eks = running.cloud.client("eks")
    arn, keys = new_user(running, "reader")
    user = Kube(running.cloud, "shared", keys)
    entry = {"clusterName": "shared", "principalArn": arn}
    read, write = ("GET", "/api/v1/namespaces/default/configmaps"), ("POST", "/api/v1/namespaces/default/configmaps")
    eks.create_access_entry(**entry)
    statuses(user, [403, 403], read, write)
    eks.associate_access_policy(**entry, policyArn=_POLICY + "AmazonEKSViewPolicy", accessScope={"type": "cluster"})
    statuses(user, [200, 403, 403], read, write, ("GET", "/api/v1/nodes"))
    scope = {"type": "namespace", "namespaces": ["team-*"]}
    eks.associate_access_policy(**entry, policyArn=_POLICY + "AmazonEKSEditPolicy", accessScope=scope)
    kube.make("/api/v1/namespaces", {"metadata": {"name": "team-a"}})
    inside = ("POST", "/api/v1/namespaces/team-a/configmaps")
    statuses(user, [200, 403, 201], read, write, inside)
    eks.disassociate_access_policy(**entry, policyArn=_POLICY + "AmazonEKSEditPolicy")
    statuses(user, [200, 403], read, inside)
    eks.delete_access_entry(**entry)
    statuses(user, [401], read)


def test_groups_of_an_access_entry_are_for_the_clusters_own_rbac(kube: Kube, running: Running) -> None:
    """EKS gives the groups, the cluster's administrator binds them."""
    arn, keys = new_user(running, "member")
    running.cloud.client("eks").create_access_entry(
        clusterName="shared", principalArn=arn, kubernetesGroups=["viewers"]
    )
    kube.make(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        {
            "metadata": {"name": "viewers"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "viewers"}],
        },
    )
    calls = ("GET", "/api/v1/namespaces/default/pods"), ("GET", "/api/v1/namespaces/kube-system/pods")
    statuses(Kube(running.cloud, "shared", keys), [200, 403], *calls)
