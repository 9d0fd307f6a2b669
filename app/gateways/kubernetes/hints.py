"""What users can do about the failures of workloads that they meet most.

A table, read from the top: the first rule whose reason or message pattern fits wins, so the specific stand before the
general. Reasons are Kubernetes' own (of a container's state, a condition or an event); the messages are those of the
kubelet, scheduler, controllers and API server, and the tests name where each was seen.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """What a failure means for the user.

    Attributes:
        code: Stable failure code of ours.
        hint: What to do.
    """

    code: str
    hint: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: matched by one of the reasons, or by the pattern in the message; by both if both are set.

    Attributes:
        advice: What it gives.
        reasons: Kubernetes' reasons.
        pattern: Of the message.
    """

    advice: Advice
    reasons: frozenset[str]
    pattern: re.Pattern[str] | None

    def fits(self, reason: str | None, message: str) -> bool:
        """Tell whether the rule is about this failure."""
        if self.reasons and reason is not None and reason not in self.reasons:
            return False
        if self.pattern is not None:
            return self.pattern.search(message) is not None
        return reason is not None


def _rule(code: str, hint: str, *reasons: str, says: str | None = None) -> Rule:
    pattern = re.compile(says, re.IGNORECASE | re.DOTALL) if says else None
    return Rule(Advice(code, hint), frozenset(reasons), pattern)


_IMAGES = (
    _rule(
        "image_denied",
        "The nodes may not pull the image: for ECR give the node role AmazonEC2ContainerRegistryPullOnly and the "
        "repository's policy the account; for other registries set imagePullSecrets.",
        says=r"pull access denied|authorization failed|no basic auth credentials|(?:pull|resolve|image).{0,200}"
        r"(?:401 Unauthorized|403 Forbidden|unauthorized|authentication required)",
    ),
    _rule(
        "image_not_found",
        "The registry has no such image or tag: check both, and the architecture of the nodes.",
        says=r"manifest (?:for \S+ )?(?:unknown|not found)|not found: manifest|no such image|repository does not exist"
        r"|failed to resolve reference [^:]+:?\S*: \S+: not found|no match for platform in manifest|name unknown",
    ),
    _rule(
        "image_rate_limited",
        "The registry limits anonymous pulls: use an ECR pull-through cache, or imagePullSecrets with an account.",
        says=r"toomanyrequests|rate limit",
    ),
    _rule(
        "registry_unreachable",
        "The nodes can't reach the image's registry: check NAT, routes and DNS of their subnets, or use ECR.",
        says=r"(?:pull|resolve).{0,300}(?:i/o timeout|no such host|connection refused|connection reset|TLS handshake)",
    ),
    _rule(
        "image_name_invalid", "That is no name of an image: check repository and tag in the values.", "InvalidImageName"
    ),
    _rule(
        "image_pull_failed",
        "The image can't be pulled: check its name and tag, and that the nodes may and can reach the registry.",
        "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "RegistryUnavailable",
    ),
)  # fmt: skip
_CONTAINERS = (
    _rule(
        "out_of_memory",
        "The container used more memory than its limit: raise resources.limits.memory, or make it use less.",
        "OOMKilled",
    ),
    _rule(
        "config_missing",
        "The container refers to a ConfigMap, Secret or key that isn't there: create it in this namespace, or correct "
        "the name.",
        "CreateContainerConfigError",
    ),
    _rule(
        "config_missing",
        "The pod mounts a ConfigMap or Secret that isn't there: create it in this namespace, or correct the name.",
        says=r"MountVolume\.SetUp failed.{0,300}(?:configmap|secret) \"[^\"]+\" not found|references non-existent",
    ),
    _rule(
        "volume_not_attached",
        "The volume can't be attached or mounted: it may be attached to another node, or be in another zone.",
        "FailedAttachVolume", "FailedMount",
    ),
    _rule(
        "command_not_found",
        "The container's command isn't in its image: check command and args in the values.",
        says=r"exec: \"?[^\"]*\"?: (?:executable file not found|stat .*no such file)"
        r"|no such file or directory: unknown",
    ),
    _rule(
        "container_not_started",
        "The container can't be started; the message says why.",
        "CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun",
    ),
    _rule(
        "container_crashes",
        "The container starts and ends again: look at its logs (kubectl logs --previous), then at its settings and "
        "what it depends on.",
        "CrashLoopBackOff", "BackOff", "Error",
    ),
    _rule(
        "probe_failed",
        "The container runs and its probe fails: check port, path and times of the probe, and what the container "
        "waits for.",
        "Unhealthy",
    ),
    _rule(
        "pod_evicted",
        "The node had too little of what the message names; set requests, or use larger nodes.",
        "Evicted",
    ),
)  # fmt: skip
_SCHEDULING = (
    _rule(
        "no_nodes",
        "The cluster has no nodes: create a node group (or a Fargate profile for this namespace).",
        says=r"no nodes available to schedule pods|\b0/0 nodes are available",
    ),
    _rule(
        "volume_in_other_zone",
        "The pod's volume is in a zone without a free node: have nodes in each zone, or volumeBindingMode "
        "WaitForFirstConsumer.",
        says=r"volume node affinity conflict",
    ),
    _rule(
        "volume_claim_pending",
        "The pod waits for its volume: look at its claim. Mostly there is no StorageClass, or the EBS CSI driver is "
        "not installed (addon aws-ebs-csi-driver).",
        says=r"unbound immediate PersistentVolumeClaims"
        r"|persistentvolumeclaim \"[^\"]+\" (?:not found|is being deleted)",
    ),
    _rule(
        "nodes_too_small",
        "No node has room for what the pod requests: lower resources.requests, or let the node group grow "
        "(scaling.max, larger instance types).",
        says=r"Insufficient (?:cpu|memory|ephemeral-storage|nvidia\.com/gpu|[\w./-]+)",
    ),
    _rule(
        "too_many_pods",
        "The nodes run as many pods as their network interfaces have addresses: add nodes, use larger types, or prefix "
        "delegation of the VPC CNI.",
        says=r"Too many pods",
    ),
    _rule(
        "taint_not_tolerated",
        "The nodes have a taint that the pod doesn't tolerate: set tolerations in the values, or use a node group "
        "without the taint.",
        says=r"untolerated taint|had taints? .{0,200}that the pod didn't tolerate",
    ),
    _rule(
        "node_selector_unmatched",
        "No node has the labels that the pod asks for: correct nodeSelector or affinity, or the node group's labels.",
        says=r"didn't match Pod's node affinity|node\(s\) didn't match (?:node )?selector",
    ),
    _rule(
        "affinity_unsatisfied",
        "The pod's affinity rules leave no node: loosen them, or have more nodes (or zones).",
        says=r"didn't match pod (?:anti-)?affinity rules|topology spread constraints|didn't have free ports",
    ),
    _rule("unschedulable", "No node takes the pod; the message says why.", "Unschedulable", "FailedScheduling"),
)
_STORAGE = (
    _rule(
        "storage_class_missing",
        "The claim names no StorageClass that is there: set one, mark one as default, or install the EBS CSI driver.",
        says=r"no persistent volumes available for this claim and no storage class is set"
        r"|storageclass\.storage\.k8s\.io \"[^\"]+\" not found",
    ),
    _rule(
        "volume_provisioner_missing",
        "Nobody makes the volume: install the driver of its StorageClass (addon aws-ebs-csi-driver, with its role).",
        "ExternalProvisioning",
        says=r"waiting for (?:a )?volume to be created|created either by",
    ),
    _rule(
        "volume_claim_pending",
        "The volume is made once a pod uses the claim: look at that pod.",
        "WaitForFirstConsumer", "WaitForPodScheduled",
    ),
    _rule(
        "volume_provisioning_failed",
        "The volume can't be made: mostly the driver's role lacks a permission, or the StorageClass is wrong.",
        "ProvisioningFailed",
    ),
)  # fmt: skip
_POLICY = (
    _rule(
        "namespace_quota_exceeded",
        "The namespace's ResourceQuota is used up: ask for less, or raise it.",
        says=r"exceeded quota",
    ),
    _rule(
        "quota_needs_limits",
        "The namespace has a quota, so every container needs requests and limits: set resources in the values.",
        says=r"failed quota: \S+ must specify",
    ),
    _rule(
        "limit_range",
        "The namespace's LimitRange doesn't allow these resources: set them within its bounds.",
        says=r"(?:maximum|minimum) \w+ usage per (?:Container|Pod) is",
    ),
    _rule(
        "pod_security",
        "The namespace enforces a pod security standard: set securityContext as the message asks, or change the "
        "namespace's label pod-security.kubernetes.io/enforce.",
        says=r"violates PodSecurity",
    ),
    _rule(
        "admission_unavailable",
        "An admission webhook doesn't answer: repair what serves it, or remove the webhook.",
        says=r"failed calling webhook",
    ),
    _rule(
        "admission_denied",
        "A policy of the cluster refuses the object; change the values to satisfy it, or ask who runs the policy.",
        says=r"admission webhook \"[^\"]+\" denied|ValidatingAdmissionPolicy .{0,300}denied request",
    ),
    _rule(
        "service_account_missing",
        "The pods' service account isn't there: let the chart create it, or create it first.",
        says=r"error looking up service account|serviceaccount \"[^\"]+\" not found",
    ),
    _rule(
        "namespace_terminating",
        "The namespace is being deleted: wait until it is gone, or use another one.",
        says=r"because it is being terminated",
    ),
)
_WORKLOADS = (
    _rule(
        "job_failed", "The Job's pods failed: look at their logs.",
        "BackoffLimitExceeded", "PodFailurePolicy", "FailedIndexes", "MaxFailedIndexesExceeded",
    ),
    _rule(
        "job_timeout",
        "The Job took longer than its activeDeadlineSeconds: raise it, or look at its pods.",
        "DeadlineExceeded",
    ),
    _rule(
        "load_balancer_pending",
        "The load balancer isn't there yet. Mostly the subnets lack the tags kubernetes.io/role/elb (or internal-elb), "
        "or no controller makes it.",
        "SyncLoadBalancerFailed", "FailedDeployModel", "FailedBuildModel", "LoadBalancerPending",
    ),
    _rule(
        "metrics_missing",
        "The autoscaler gets no metrics: install metrics-server, and set resources.requests of the pods.",
        "FailedGetResourceMetric", "FailedComputeMetricsReplicas", "FailedGetExternalMetric", "FailedGetPodsMetric",
    ),
    _rule(
        "object_terminating",
        "What its finalizers name must let it go: see that this controller runs, and what it logs.",
        "Terminating",
    ),
    _rule(
        "rollout_stuck",
        "The new pods don't become ready within progressDeadlineSeconds: look at them.",
        "ProgressDeadlineExceeded",
    ),
)  # fmt: skip

RULES: tuple[Rule, ...] = (*_IMAGES, *_POLICY, *_CONTAINERS, *_SCHEDULING, *_STORAGE, *_WORKLOADS)
"""The table, in order of precedence."""


def advise(reason: str | None, message: str) -> Advice | None:
    """Return what to do about a failure, or None if the table doesn't know it.

    Args:
        reason: Kubernetes' reason; None when only a message is at hand.
        message: The message.
    """
    return next((rule.advice for rule in RULES if rule.fits(reason, message)), None)
