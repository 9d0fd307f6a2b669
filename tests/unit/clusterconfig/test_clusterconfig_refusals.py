"""Nothing is passed over in silence: what isn't supported or isn't known is named, all of it at once."""

import json

import pytest

from app.clusters.clusterconfig import schema, translate
from app.clusters.clusterconfig.report import MAX_ERRORS
from app.core.documents import parse_yaml
from app.core.errors import InvalidError

UNSUPPORTED = {
    "capabilities": [{"name": "argo", "type": "ARGOCD"}],
    "controlPlaneScalingConfig": {"tier": "tier-xl"},
    "fargateProfiles": [{"name": "default", "selectors": [{"namespace": "default"}]}],
    "gitops": {"flux": {"gitProvider": "github"}},
    "iamIdentityMappings": [{"arn": "arn:aws:iam::111122223333:role/r"}],
    "identityProviders": [{"type": "oidc"}],
    "karpenter": {},
    "kubeAPIServerConfig": {"eventTTL": "1h"},
    "kubeControllerManagerConfig": {},
    "kubeSchedulerConfig": {},
    "localZones": ["us-west-2-lax-1a"],
    "nodeGroups": [{"name": "self-managed"}],
    "outpost": {},
    "remoteNetworkConfig": {},
}

INSIDE = {
    "/accessConfig/accessEntries": [{"principalARN": "arn:aws:iam::111122223333:role/r"}],
    "/addonsConfig/autoApplyPodIdentityAssociations": True,
    "/addonsConfig/disableDefaultAddons": True,
    "/autoModeConfig/enabled": True,
    "/autoModeConfig/nodePools": ["system"],
    "/iam/podIdentityAssociations": [{}],
    "/iam/serviceAccounts": [{}],
    "/iam/serviceRoleARN": "arn:aws:iam::111122223333:role/r",
    "/iam/vpcResourceControllerPolicy": False,
    "/kubernetesNetworkConfig/serviceIPv6CIDR": "fd00::/108",
    "/metadata/forceUpdateVersion": True,
    "/metadata/rollbackConfig": {"timeoutMinutes": 120},
    "/privateCluster/enabled": True,
    "/vpc/controlPlaneSubnetIDs": ["subnet-1"],
    "/vpc/hostnameType": "resource-name",
    "/vpc/securityGroup": "sg-1",
    "/vpc/sharedNodeSecurityGroup": "sg-1",
}

IN_A_GROUP = {
    "/ami": "ami-1",
    "/additionalVolumes": [{}],
    "/bottlerocket": {"settings": {}},
    "/disableIMDSv1": False,
    "/iam/attachPolicyARNs": ["arn:aws:iam::aws:policy/x"],
    "/iam/withAddonPolicies/ebs": True,
    "/instanceSelector": {"vCPUs": 2},
    "/launchTemplate": {"id": "lt-1"},
    "/maxPodsPerNode": 10,
    "/nodeRepairConfig/enabled": True,
    "/preBootstrapCommands": ["true"],
    "/releaseVersion": "1.33.0-20260801",
    "/securityGroups/attachIDs": ["sg-1"],
    "/ssh/enableSsm": False,
    "/ssh/publicKeyPath": "~/.ssh/id_rsa.pub",
    "/volumeIOPS": 4000,
    "/volumeKmsKeyID": "k",
}


def nested(pointer, value):
    result = value
    for token in reversed(pointer.split("/")[1:]):
        result = {token: result}
    return result


@pytest.mark.parametrize(("key", "value"), UNSUPPORTED.items())
def test_top_level_keys(documents, key, value):
    errors = documents.errors(**{key: value})
    assert list(errors) == [f"/{key}"]
    assert "not supported yet" in errors[f"/{key}"]


def test_every_top_level_key_is_either_read_or_refused_here():
    from app.clusters.clusterconfig.cluster import CLUSTER

    read = {path.split(".")[0] for path in (*CLUSTER.readers, *CLUSTER.harmless)}
    assert read | set(UNSUPPORTED) == set(schema.CLUSTER)
    assert not read & set(UNSUPPORTED)


def test_every_path_of_the_tables_is_in_the_schema():
    from app.clusters.clusterconfig.cluster import ADDON, CLUSTER, COPIED, DEFAULTED, SECTIONS
    from app.clusters.clusterconfig.nodegroups import COPIED as GROUP_COPIED
    from app.clusters.clusterconfig.nodegroups import MANAGED_NODE_GROUP

    for section in (CLUSTER, ADDON, MANAGED_NODE_GROUP):
        for path in (*section.readers, *section.harmless, *section.required, *section.hints):
            keys = section.keys
            for step in path.split("."):
                assert step in keys, path
                keys = keys[step] or {}
    assert {source for source, *_ in (*COPIED, *DEFAULTED)} <= set(CLUSTER.readers)
    assert {source for source, _ in GROUP_COPIED} <= set(MANAGED_NODE_GROUP.readers)
    assert {source for _, source in SECTIONS} <= set(CLUSTER.readers) | CLUSTER.branches


@pytest.mark.parametrize(("pointer", "value"), INSIDE.items())
def test_keys_of_sections(documents, pointer, value):
    errors = documents.errors(**nested(pointer, value))
    assert list(errors) == [pointer]
    assert "not supported yet" in errors[pointer]


@pytest.mark.parametrize(("pointer", "value"), IN_A_GROUP.items())
def test_keys_of_node_groups(documents, pointer, value):
    errors = documents.errors(documents.with_group(**nested(pointer, value)))
    assert list(errors) == [f"/managedNodeGroups/0{pointer}"]
    assert "not supported yet" in errors[f"/managedNodeGroups/0{pointer}"]


@pytest.mark.parametrize(
    "keys",
    [
        {"version": "latest"},
        {"attachPolicyARNs": ["arn:aws:iam::aws:policy/x"]},
        {"tags": {}},
        {"resolveConflicts": "overwrite"},
        {"wellKnownPolicies": {"ebsCSIController": True}},
        {"useDefaultPodIdentityAssociations": True},
        {"serviceAccountRoleARN": "arn:aws:iam::111122223333:role/r"},
    ],
)
def test_keys_of_addons(documents, keys):
    errors = documents.errors(addons=[{"name": "coredns", **keys}])
    ((pointer, detail),) = errors.items()
    assert pointer.startswith(f"/addons/0/{next(iter(keys))}")
    assert "not supported yet" in detail


@pytest.mark.parametrize(
    ("sections", "pointer", "meant"),
    [
        ({"managedNodegroups": []}, "/managedNodegroups", "managedNodeGroups"),
        ({"cloudwatch": {}}, "/cloudwatch", "cloudWatch"),
        ({"vpc": {"clusterEndpoint": {}}}, "/vpc/clusterEndpoint", "clusterEndpoints"),
        ({"metadata": {"regoin": "x"}}, "/metadata/regoin", "region"),
        ({"managedNodeGroups": [{"name": "a", "desiredSize": 1, "minsize": 1}]}, None, "minSize"),
        ({"deletionProtection": True}, "/deletionProtection", None),
        ({"zzz/~": None}, "/zzz~1~0", None),
    ],
)
def test_unknown_keys(documents, sections, pointer, meant):
    errors = documents.errors(**sections)
    assert all("unknown key" in detail for detail in errors.values())
    if pointer is not None:
        assert list(errors) == [pointer]
    assert ("did you mean" in " ".join(errors.values())) == (meant is not None)
    assert meant is None or meant in " ".join(errors.values())


def test_everything_at_once(documents):
    errors = documents.errors(
        metadata={"region": 5, "version": 1.3},
        nope=1,
        nodeGroups=[{}],
        vpc={"cidr": "wrong", "nat": {"gateway": "singel"}},
        managedNodeGroups=[{"instanceType": 5}, "text", {"name": "b", "gpu": 1}],
        addons={},
    )
    assert set(errors) == {
        "/metadata/region",
        "/metadata/version",
        "/nope",
        "/nodeGroups",
        "/vpc/cidr",
        "/vpc/nat/gateway",
        "/managedNodeGroups/0/instanceType",
        "/managedNodeGroups/0/name",
        "/managedNodeGroups/1",
        "/managedNodeGroups/2/gpu",
        "/addons",
    }
    assert "Single" in errors["/vpc/nat/gateway"]


def test_a_version_without_quotes(documents):
    document = parse_yaml(b"""
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: demo, region: eu-central-1, version: 1.30}
""")
    errors = documents.errors(document)
    assert list(errors) == ["/metadata/version"]
    assert "quote" in errors["/metadata/version"]


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ({}, {"/apiVersion", "/kind", "/metadata"}),
        ({"apiVersion": "eksctl.io/v1alpha4", "kind": "Cluster", "metadata": {}}, None),
        ([], {""}),
        (None, {""}),
        ("text", {""}),
        (1.5, {""}),
    ],
)
def test_documents_that_are_something_else(documents, document, pointers):
    errors = documents.errors(document)
    assert set(errors) == (pointers or {"/apiVersion", "/kind", "/metadata/name", "/metadata/region"})


@pytest.mark.parametrize(
    ("sections", "pointer"),
    [
        ({"addons": [{"name": "a"}, {"name": "a"}]}, "/addons/1/name"),
        ({"addons": [{}]}, "/addons/0/name"),
        ({"secretsEncryption": {}}, "/secretsEncryption/keyARN"),
        ({"cloudWatch": {"clusterLogging": {"enableTypes": ["apis"]}}}, "/cloudWatch/clusterLogging/enableTypes/0"),
        ({"cloudWatch": {"clusterLogging": {"enableTypes": "api"}}}, "/cloudWatch/clusterLogging/enableTypes"),
        ({"cloudWatch": {"clusterLogging": []}}, "/cloudWatch/clusterLogging"),
        ({"upgradePolicy": {"supportType": "extended"}}, "/upgradePolicy/supportType"),
        ({"accessConfig": {"authenticationMode": "IAM"}}, "/accessConfig/authenticationMode"),
        ({"availabilityZones": ["a", 1]}, "/availabilityZones/1"),
        ({"availabilityZones": "a"}, "/availabilityZones"),
        ({"iam": {"withOIDC": "true"}}, "/iam/withOIDC"),
        ({"vpc": "vpc-1"}, "/vpc"),
        ({"metadata": {"name": None}}, "/metadata/name"),
        ({"metadata": {"tags": {"a": 1}}}, "/metadata/tags/a"),
    ],
)
def test_wrong_values(documents, sections, pointer):
    assert list(documents.errors(**sections)) == [pointer]


def test_an_answer_stays_readable(documents):
    with pytest.raises(InvalidError) as caught:
        translate(documents(**{f"key{number}": 1 for number in range(30_000)}))
    errors = caught.value.errors
    assert len(errors) == MAX_ERRORS + 1
    assert str(30_000 - MAX_ERRORS) in errors[-1].detail


@pytest.mark.parametrize(
    ("sections", "pointer"),
    [
        ({"managedNodeGroups": [{"name": str(n)} for n in range(10_000)]}, "/managedNodeGroups"),
        ({"addons": [{"name": str(n)} for n in range(10_000)]}, "/addons"),
        (
            {"vpc": {"id": "v", "subnets": {"public": {str(n): {"id": str(n)} for n in range(10_000)}}}},
            "/vpc/subnets/public",
        ),
        ({"managedNodeGroups": [{"name": "a", "taints": {str(n): "b" for n in range(99)}}]}, None),
        ({"managedNodeGroups": [{"name": "a", "taints": [{"key": str(n)} for n in range(99)]}]}, None),
    ],
)
def test_what_no_account_could_have(documents, sections, pointer):
    errors = documents.errors(json.loads(json.dumps(documents(**sections))))
    assert list(errors) == [pointer or "/managedNodeGroups/0/taints"]
    assert "at most" in next(iter(errors.values()))
