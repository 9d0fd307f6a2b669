# ruff: noqa: E501  # messages as they were sent
"""The table of hints, on messages that Kubernetes really sends; each says where it was seen."""

import pytest

from app.gateways.kubernetes.hints import RULES, advise

# (code, reason, message)
SEEN = [
    # containerd through the kubelet, EKS 1.31
    ("image_not_found", "ImagePullBackOff", 'Back-off pulling image "nginx:nope": ErrImagePull: rpc error: code = NotFound '
     'desc = failed to pull and unpack image "docker.io/library/nginx:nope": failed to resolve reference '
     '"docker.io/library/nginx:nope": docker.io/library/nginx:nope: not found'),
    ("image_not_found", "ErrImagePull", "manifest for nginx:nope not found: manifest unknown: manifest unknown"),
    ("image_not_found", "ErrImagePull", 'failed to pull and unpack image "x": no match for platform in manifest: not found'),
    ("image_denied", "ErrImagePull", 'Failed to pull image "x": failed to resolve reference "x": pull access denied, '
     "repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"),
    ("image_denied", "Failed", 'Failed to pull image "1.dkr.ecr.us-west-2.amazonaws.com/a:1": unexpected status from HEAD '
     "request to https://1.dkr.ecr.us-west-2.amazonaws.com/v2/a/manifests/1: 403 Forbidden"),
    ("image_denied", "ErrImagePull", 'failed to resolve reference "x": unexpected status: 401 Unauthorized'),
    ("image_rate_limited", "ErrImagePull", "toomanyrequests: You have reached your unauthenticated pull rate limit."),
    ("registry_unreachable", "ErrImagePull", 'failed to pull and unpack image "x": failed to do request: Head "https://y/v2": '
     "dial tcp 1.2.3.4:443: i/o timeout"),
    ("image_name_invalid", "InvalidImageName", 'Failed to apply default image tag "a b": couldn\'t parse image name'),
    ("image_pull_failed", "ImagePullBackOff", 'Back-off pulling image "x"'),
    # kubelet
    ("out_of_memory", "OOMKilled", "the container ended with exit code 137"),
    ("config_missing", "CreateContainerConfigError", 'configmap "settings" not found'),
    ("config_missing", "CreateContainerConfigError", "couldn't find key password in Secret shop/db"),
    ("config_missing", "FailedMount", 'MountVolume.SetUp failed for volume "config" : configmap "settings" not found'),
    ("volume_not_attached", "FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) x'),
    ("command_not_found", "RunContainerError", 'failed to create containerd task: exec: "srv": executable file not found in $PATH'),
    ("command_not_found", "StartError", 'error during container init: exec: "/app": stat /app: no such file or directory: unknown'),
    ("container_crashes", "CrashLoopBackOff", "back-off 5m0s restarting failed container=web pod=web-1"),
    ("probe_failed", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ("pod_evicted", "Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi"),
    # scheduler
    ("no_nodes", "Unschedulable", "no nodes available to schedule pods"),
    ("no_nodes", "FailedScheduling", "0/0 nodes are available: 0 nodes are available"),
    ("nodes_too_small", "Unschedulable", "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: "
     "2 No preemption victims found for incoming pod."),
    ("too_many_pods", "Unschedulable", "0/1 nodes are available: 1 Too many pods."),
    ("taint_not_tolerated", "Unschedulable", "0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: shop}. "
     "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."),
    ("taint_not_tolerated", "Unschedulable", "0/1 nodes are available: 1 node(s) had untolerated taint(s)."),
    ("taint_not_tolerated", "FailedScheduling", "1 node(s) had taint {a: b}, that the pod didn't tolerate"),
    ("node_selector_unmatched", "Unschedulable", "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."),
    ("affinity_unsatisfied", "Unschedulable", "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."),
    ("affinity_unsatisfied", "Unschedulable", "2 node(s) didn't match pod topology spread constraints."),
    ("volume_in_other_zone", "Unschedulable", "0/2 nodes are available: 2 node(s) had volume node affinity conflict."),
    ("volume_claim_pending", "Unschedulable", "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    ("volume_claim_pending", "Unschedulable", '0/2 nodes are available: persistentvolumeclaim "data" not found.'),
    # persistent volume controller
    ("storage_class_missing", "FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
    ("storage_class_missing", "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'),
    ("volume_provisioner_missing", "ExternalProvisioning", "Waiting for a volume to be created either by the external provisioner "
     "'ebs.csi.aws.com' or manually by the system administrator."),
    ("volume_claim_pending", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
    ("volume_provisioning_failed", "ProvisioningFailed", "UnauthorizedOperation: You are not authorized to perform this operation"),
    # API server, quota, admission
    ("namespace_quota_exceeded", "FailedCreate", 'pods "web-1" is forbidden: exceeded quota: slipway, requested: pods=1, used: '
     "pods=1, limited: pods=1"),
    ("quota_needs_limits", "FailedCreate", 'pods "w" is forbidden: failed quota: q: must specify limits.cpu for: web'),
    ("limit_range", "FailedCreate", 'pods "w" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'),
    ("pod_security", "FailedCreate", 'pods "w" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'),
    ("admission_denied", None, 'admission webhook "validate.kyverno.svc-fail" denied the request: no latest tags'),
    ("admission_denied", None, "deployments.apps \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
    ("admission_unavailable", None, 'Internal error occurred: failed calling webhook "v.example.com": no endpoints available'),
    ("service_account_missing", "FailedCreate", 'pods "w-" is forbidden: error looking up service account a/b: serviceaccount "b" '
     "not found"),
    ("namespace_terminating", None, 'configmaps "x" is forbidden: unable to create new content in namespace a because it is being '
     "terminated"),
    # workloads
    ("job_failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
    ("job_timeout", "DeadlineExceeded", "Job was active longer than specified deadline"),
    ("object_terminating", "Terminating", "it is deleted but not gone; its finalizers: example.com/hold"),
    ("rollout_stuck", "ProgressDeadlineExceeded", 'ReplicaSet "web-1" has timed out progressing.'),
    ("load_balancer_pending", "FailedBuildModel", "couldn't auto-discover subnets: unable to resolve at least one subnet"),
    ("metrics_missing", "FailedGetResourceMetric", "failed to get cpu utilization: unable to get metrics for resource cpu"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "reason", "message"), SEEN, ids=lambda value: str(value)[:30])
def test_what_is_seen_is_known(code: str, reason: str | None, message: str) -> None:
    advice = advise(reason, message)
    assert advice is not None
    assert advice.code == code
    assert advice.hint.endswith((".", ")"))


def test_what_is_not_known() -> None:
    assert advise("Whatever", "something else") is None
    assert advise(None, "something else") is None


def test_every_rule_was_seen() -> None:
    assert {rule.advice.code for rule in RULES} - {code for code, _, _ in SEEN} == {
        "container_not_started",
        "unschedulable",
    }
