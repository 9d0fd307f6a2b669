"""What each section of a ClusterConfig becomes in the cluster's spec."""

import pytest

from app.clusters.clusterconfig import translate


def test_a_file_without_sections_gets_what_eksctl_makes(documents):
    assert documents.cluster() == {
        "name": "demo",
        "region": "eu-central-1",
        "network": {"cidr": "192.168.0.0/16", "zones": 3, "nat": "single"},
        "endpoints": {"public": True, "private": False},
        "access": {"mode": "API_AND_CONFIG_MAP", "creator_admin": True},
    }


@pytest.mark.parametrize(
    ("sections", "target", "value", "origin"),
    [
        ({"metadata": {"version": "1.33"}}, "/version", "1.33", "/metadata/version"),
        ({"metadata": {"tags": {"team/a": "x"}}}, "/tags", {"team/a": "x"}, "/metadata/tags"),
        ({"metadata": {"tags": {"team/a": "x"}}}, "/tags/team~1a", "x", "/metadata/tags/team~1a"),
        ({"vpc": {"cidr": "10.1.0.0/16"}}, "/network/cidr", "10.1.0.0/16", "/vpc/cidr"),
        ({"vpc": {"nat": {"gateway": "Disable"}}}, "/network/nat", "none", "/vpc/nat/gateway"),
        ({"vpc": {"nat": {"gateway": "Single"}}}, "/network/nat", "single", "/vpc/nat/gateway"),
        ({"vpc": {"nat": {"gateway": "HighlyAvailable"}}}, "/network/nat", "per_zone", "/vpc/nat/gateway"),
        (
            {"availabilityZones": ["eu-central-1a", "eu-central-1b"]},
            "/network/zones",
            ["eu-central-1a", "eu-central-1b"],
            "/availabilityZones",
        ),
        ({"availabilityZones": ["eu-central-1a"]}, "/network/zones/0", "eu-central-1a", "/availabilityZones/0"),
        (
            {"vpc": {"clusterEndpoints": {"publicAccess": False}}},
            "/endpoints/public",
            False,
            "/vpc/clusterEndpoints/publicAccess",
        ),
        (
            {"vpc": {"clusterEndpoints": {"privateAccess": True}}},
            "/endpoints/private",
            True,
            "/vpc/clusterEndpoints/privateAccess",
        ),
        (
            {"vpc": {"publicAccessCIDRs": ["203.0.113.0/24"]}},
            "/endpoints/public_cidrs/0",
            "203.0.113.0/24",
            "/vpc/publicAccessCIDRs/0",
        ),
        (
            {"accessConfig": {"authenticationMode": "API"}},
            "/access",
            {"mode": "API", "creator_admin": True},
            "/accessConfig",
        ),
        (
            {"accessConfig": {"bootstrapClusterCreatorAdminPermissions": False}},
            "/access/creator_admin",
            False,
            "/accessConfig/bootstrapClusterCreatorAdminPermissions",
        ),
        ({"iam": {"withOIDC": True}}, "/access/oidc", True, "/iam/withOIDC"),
        ({"iam": {"withOIDC": False}}, "/access/oidc", False, "/iam/withOIDC"),
        (
            {"cloudWatch": {"clusterLogging": {"enableTypes": ["scheduler", "api"], "logRetentionInDays": 60}}},
            "/logging",
            {"types": ["api", "scheduler"], "retention_days": 60},
            "/cloudWatch/clusterLogging",
        ),
        (
            {"secretsEncryption": {"keyARN": "arn:aws:kms:eu-central-1:111122223333:key/k"}},
            "/encryption/kms_key",
            "arn:aws:kms:eu-central-1:111122223333:key/k",
            "/secretsEncryption/keyARN",
        ),
        (
            {"kubernetesNetworkConfig": {"ipFamily": "IPv4"}},
            "/network/ip_family",
            "ipv4",
            "/kubernetesNetworkConfig/ipFamily",
        ),
        (
            {"kubernetesNetworkConfig": {"ipFamily": "IPv6"}},
            "/network/ip_family",
            "ipv6",
            "/kubernetesNetworkConfig/ipFamily",
        ),
        (
            {"kubernetesNetworkConfig": {"serviceIPv4CIDR": "172.20.0.0/16"}},
            "/network/service_cidr",
            "172.20.0.0/16",
            "/kubernetesNetworkConfig/serviceIPv4CIDR",
        ),
        ({"upgradePolicy": {"supportType": "STANDARD"}}, "/upgrade_policy", "STANDARD", "/upgradePolicy/supportType"),
        ({"zonalShiftConfig": {"enabled": True}}, "/zonal_shift", True, "/zonalShiftConfig/enabled"),
        (
            {"addons": [{"name": "vpc-cni", "version": "v1.20.4-eksbuild.1"}, {"name": "coredns"}]},
            "/addons",
            [{"name": "vpc-cni", "version": "v1.20.4-eksbuild.1"}, {"name": "coredns"}, {"name": "metrics-server"}],
            "/addons",
        ),
        ({"addons": [{"name": "x", "version": "v1"}]}, "/addons/0/version", "v1", "/addons/0/version"),
        ({"addons": [{"name": "x"}]}, "/addons/1/name", "coredns", "/addons"),
    ],
)
def test_each_key(documents, resolve, sections, target, value, origin):
    document = documents(**sections)
    translation = translate(document)
    assert resolve(translation.cluster, target) == value
    assert translation.original_pointer(target) == origin
    for pointer in translation.origins.values():
        resolve(document, pointer)


@pytest.mark.parametrize("word", ["*", "all"])
def test_all_logs(documents, word):
    cluster = documents.cluster(cloudWatch={"clusterLogging": {"enableTypes": [word, "api"]}})
    assert cluster["logging"] == {"types": ["api", "audit", "authenticator", "controllerManager", "scheduler"]}


@pytest.mark.parametrize(
    "values",
    ['{"replicaCount": 3, "cpu": "1"}', "replicaCount: 3\ncpu: '1'\n", {"replicaCount": 3, "cpu": "1"}, "", {}],
)
def test_an_addons_configuration_in_every_form(documents, values):
    translation = translate(documents(addons=[{"name": "coredns", "configurationValues": values}]))
    expected = {"replicaCount": 3, "cpu": "1"} if values else {}
    assert translation.cluster["addons"][0]["configuration"] == expected
    assert translation.original_pointer("/addons/0/configuration/cpu") == "/addons/0/configurationValues"


@pytest.mark.parametrize("values", ["{", "[1]", "- a", "a: 1\na: 2", "just text", 5, ["a"], "!!python/name:os.system"])
def test_a_configuration_that_is_none(documents, values):
    errors = documents.errors(addons=[{"name": "coredns", "configurationValues": values}])
    assert list(errors) == ["/addons/0/configurationValues"]


@pytest.mark.parametrize(
    "sections",
    [
        {"privateCluster": {"enabled": False, "skipEndpointCreation": False, "additionalEndpointServices": []}},
        {"autoModeConfig": {"enabled": False}},
        {"addonsConfig": {"disableDefaultAddons": False, "autoApplyPodIdentityAssociations": False}},
        {"iam": {"vpcResourceControllerPolicy": True, "serviceAccounts": []}},
        {"vpc": {"autoAllocateIPv6": False, "manageSharedNodeSecurityGroupRules": True}},
        {"vpc": {"controlPlaneEgressMode": "AWS_MANAGED", "controlPlaneOnPrivateSubnets": False}},
        {"metadata": {"forceUpdateVersion": False}},
        {"nodeGroups": [], "fargateProfiles": None, "addons": [], "managedNodeGroups": None, "availabilityZones": []},
        {"vpc": None, "iam": None, "cloudWatch": {"clusterLogging": None}, "accessConfig": {}},
    ],
)
def test_keys_that_say_what_is_done_anyway(documents, sections):
    translation = translate(documents(**sections))
    assert translation.cluster == documents.cluster()
    assert translation.nodegroups == []
    assert translation.warnings == []


def test_annotations_are_named_in_a_warning(documents):
    translation = translate(documents(metadata={"annotations": {"a": "b"}}))
    assert translation.cluster == documents.cluster()
    assert translation.warnings[0].startswith("/metadata/annotations: ")


VPC = {
    "id": "vpc-1",
    "subnets": {
        "public": {"one": {"id": "subnet-1", "az": "eu-central-1a"}},
        "private": {"eu-central-1b": {"id": "subnet-2", "cidr": "10.0.1.0/24"}, "three": {"id": "subnet-3"}},
    },
}


class TestExistingVpc:
    def test_ids(self, documents):
        assert documents.cluster(vpc=VPC)["network"] == {
            "vpc_id": "vpc-1",
            "subnets": {"public": ["subnet-1"], "private": ["subnet-2", "subnet-3"]},
        }

    def test_one_kind_only(self, documents):
        network = documents.cluster(vpc={"id": "vpc-1", "subnets": {"private": {"a": {"id": "s-1"}}}})["network"]
        assert network["subnets"] == {"public": [], "private": ["s-1"]}

    def test_expectations(self, documents, resolve):
        document = documents(vpc=VPC)
        facts = translate(document).expectations
        assert [(fact.pointer, fact.resource, fact.attribute, fact.value) for fact in facts] == [
            ("/vpc/subnets/public/one/az", "subnet-1", "zone", "eu-central-1a"),
            ("/vpc/subnets/private/eu-central-1b", "subnet-2", "zone", "eu-central-1b"),
            ("/vpc/subnets/private/eu-central-1b/cidr", "subnet-2", "cidr", "10.0.1.0/24"),
        ]

    def test_nat_is_warned_of(self, documents):
        translation = translate(documents(vpc={**VPC, "nat": {"gateway": "Single"}}))
        assert "nat" not in translation.cluster["network"]
        assert translation.warnings[0].startswith("/vpc/nat/gateway: ")

    def test_no_nat_is_no_news(self, documents):
        assert translate(documents(vpc={**VPC, "nat": {"gateway": "Disable"}})).warnings == []

    def test_the_service_network_goes_with_it(self, documents):
        network = documents.cluster(vpc=VPC, kubernetesNetworkConfig={"serviceIPv4CIDR": "172.20.0.0/16"})["network"]
        assert network["service_cidr"] == "172.20.0.0/16"

    @pytest.mark.parametrize(
        ("sections", "pointer"),
        [
            ({"vpc": {"id": "vpc-1"}}, "/vpc/subnets"),
            ({"vpc": {"id": "vpc-1", "subnets": {"public": {}}}}, "/vpc/subnets"),
            ({"vpc": {"subnets": VPC["subnets"]}}, "/vpc/id"),
            ({"vpc": VPC, "availabilityZones": ["eu-central-1a"]}, "/availabilityZones"),
            ({"vpc": {"id": "vpc-1", "subnets": {"public": {"a/b": {"az": "x"}}}}}, "/vpc/subnets/public/a~1b/id"),
            ({"vpc": {**VPC, "cidr": "10.0.0.0"}}, "/vpc/cidr"),
            ({"vpc": {**VPC, "cidr": "10.0.0.0/99"}}, "/vpc/cidr"),
            ({"vpc": {"id": 5, "subnets": VPC["subnets"]}}, "/vpc/id"),
            ({"vpc": {"id": "vpc-1", "subnets": {"public": {"a": {"id": 1}}}}}, "/vpc/subnets/public/a/id"),
            ({"vpc": {"id": "vpc-1", "subnets": {"public": {"a": "subnet-1"}}}}, "/vpc/subnets/public/a"),
            ({"vpc": {"id": "vpc-1", "subnets": {"public": ["subnet-1"]}}}, "/vpc/subnets/public"),
        ],
    )
    def test_what_does_not_go_together(self, documents, sections, pointer):
        assert list(documents.errors(**sections)) == [pointer]
