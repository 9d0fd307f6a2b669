import json

import pytest
from stack_samples import GIVEN, KEY, ROLE, ULID, cluster, cluster_template, document, of_type

from app.clusters.schemas import AccessSpec, AddonSpec, EncryptionSpec, EndpointsSpec, LoggingSpec


def control_plane(**changes):
    return document(cluster_template(cluster(**changes)))["Resources"]["Cluster"]["Properties"]


def resources(**changes):
    return document(cluster_template(cluster(**changes)))["Resources"]


def test_the_outputs_are_what_the_contract_and_node_groups_need():
    doc = document(cluster_template(cluster(access=AccessSpec(oidc=True), encryption=EncryptionSpec())))
    assert set(doc["Outputs"]) == {
        "Arn", "Endpoint", "CertificateAuthorityData", "OidcIssuer", "VpcId", "SubnetIds", "PublicSubnetIds",
        "PrivateSubnetIds", "NodeSubnetIds", "SecurityGroupId", "NodeSecurityGroupId", "RoleArn", "KeyArn",
        "OidcProviderArn",
    }  # fmt: skip
    assert doc["Outputs"]["SecurityGroupId"]["Value"] == {"Fn::GetAtt": ["Cluster", "ClusterSecurityGroupId"]}


def test_the_stack_carries_the_tags_and_asks_for_no_named_roles():
    made = cluster_template(cluster(tags={"team": "a", "slipway:id": "forged"}))
    assert made.tags == {"slipway:cluster": "prod", "slipway:id": f"clu_{ULID}", "team": "a"}
    assert made.capabilities == ("CAPABILITY_IAM",)
    assert not any("RoleName" in role for role in of_type(document(made), "AWS::IAM::Role").values())


def test_slipway_gets_an_access_entry_and_leaves_last():
    made = resources(access=AccessSpec(mode="API"), role=ROLE)
    entry = made["AdminAccess"]["Properties"]
    assert entry["PrincipalArn"] == ROLE
    assert entry["AccessPolicies"][0]["AccessScope"] == {"Type": "cluster"}
    assert entry["AccessPolicies"][0]["PolicyArn"]["Fn::Sub"].endswith("/AmazonEKSClusterAdminPolicy")
    assert made["AddonVpcCni"]["DependsOn"] == made["AddonKubeProxy"]["DependsOn"] == "AdminAccess"
    assert made["Cluster"]["Properties"]["AccessConfig"] == {
        "AuthenticationMode": "API",
        "BootstrapClusterCreatorAdminPermissions": False,
    }


@pytest.mark.parametrize("mode", ["CONFIG_MAP", "API_AND_CONFIG_MAP"])
def test_a_bootstrapped_creator_has_no_second_entry_even_after_the_mode_has_moved_on(mode):
    made = resources(access=AccessSpec(mode=mode), role=ROLE, bootstrap=True)
    assert "AdminAccess" not in made
    assert "DependsOn" not in made["AddonVpcCni"]
    assert made["Cluster"]["Properties"]["AccessConfig"]["BootstrapClusterCreatorAdminPermissions"] is True


def test_addons_are_managed_from_the_start_and_the_callers_wishes_count():
    given = AddonSpec(
        name="vpc-cni", version="v1.20.0-eksbuild.1", configuration={"env": {"ENABLE_PREFIX_DELEGATION": "true"}}
    )
    made = resources(addons=[given])
    assert made["Cluster"]["Properties"]["BootstrapSelfManagedAddons"] is False
    cni, proxy = made["AddonVpcCni"]["Properties"], made["AddonKubeProxy"]["Properties"]
    assert cni["AddonVersion"] == "v1.20.0-eksbuild.1"
    assert json.loads(cni["ConfigurationValues"]) == given.configuration
    assert "AddonVersion" not in proxy
    assert cni["ResolveConflicts"] == proxy["ResolveConflicts"] == "OVERWRITE"


def test_encryption_by_a_key_of_the_stack():
    made = resources(encryption=EncryptionSpec())
    assert made["Cluster"]["Properties"]["EncryptionConfig"] == [
        {"Provider": {"KeyArn": {"Fn::GetAtt": ["Key", "Arn"]}}, "Resources": ["secrets"]}
    ]
    assert made["Key"]["Properties"]["EnableKeyRotation"] is True
    assert made["KeyAlias"]["Properties"]["AliasName"] == "alias/slipway-prod-7v5x3wtr6hbn"


def test_encryption_by_a_key_of_the_callers():
    made = resources(encryption=EncryptionSpec(kms_key=KEY))
    assert made["Cluster"]["Properties"]["EncryptionConfig"][0]["Provider"] == {"KeyArn": KEY}
    assert "Key" not in made
    assert "EncryptionConfig" not in control_plane()


def test_endpoints():
    both = control_plane(endpoints=EndpointsSpec(public=True, private=True, public_cidrs=["203.0.113.0/24"]))
    assert both["ResourcesVpcConfig"]["EndpointPrivateAccess"] is True
    assert both["ResourcesVpcConfig"]["PublicAccessCidrs"] == ["203.0.113.0/24"]
    private = control_plane(
        endpoints=EndpointsSpec.model_construct(public=False, private=True, public_cidrs=["203.0.113.0/24"])
    )
    assert private["ResourcesVpcConfig"]["EndpointPublicAccess"] is False
    assert "PublicAccessCidrs" not in private["ResourcesVpcConfig"]


def test_logging_can_be_switched_on_and_off():
    on = control_plane(logging=LoggingSpec(types=["audit", "api"]))["Logging"]["ClusterLogging"]["EnabledTypes"]
    assert on == [{"Type": "api"}, {"Type": "audit"}]
    assert control_plane()["Logging"]["ClusterLogging"]["EnabledTypes"] == []
    assert not of_type(document(cluster_template(cluster(logging=LoggingSpec(types=["api"])))), "AWS::Logs::LogGroup")


def test_network_families():
    four = control_plane(service_cidr="172.20.0.0/16")
    assert four["KubernetesNetworkConfig"] == {"IpFamily": "ipv4", "ServiceIpv4Cidr": "172.20.0.0/16"}
    six = control_plane(ip_family="ipv6", service_cidr="172.20.0.0/16")
    assert six["KubernetesNetworkConfig"] == {"IpFamily": "ipv6"}


def test_what_guards_and_upgrades_a_cluster():
    made = control_plane(deletion_protection=True, upgrade_policy="EXTENDED", zonal_shift=False, version="1.34")
    assert made["DeletionProtection"] is True
    assert made["UpgradePolicy"] == {"SupportType": "EXTENDED"}
    assert made["ZonalShiftConfig"] == {"Enabled": False}
    assert made["Version"] == "1.34"
    assert not {"UpgradePolicy", "ZonalShiftConfig", "Version"} & set(control_plane())


def test_the_shared_node_group_is_open_both_ways_in_a_given_vpc_too():
    made = resources(network=GIVEN)
    groups = [made[name]["Properties"]["VpcId"] for name in ("ControlPlaneSecurityGroup", "NodeSecurityGroup")]
    assert groups == [GIVEN.vpc_id, GIVEN.vpc_id]
    own, nodes = {"Fn::GetAtt": ["Cluster", "ClusterSecurityGroupId"]}, {"Fn::GetAtt": ["NodeSecurityGroup", "GroupId"]}
    rules = [
        (body["Properties"]["GroupId"], body["Properties"]["SourceSecurityGroupId"])
        for body in made.values()
        if body["Type"] == "AWS::EC2::SecurityGroupIngress"
    ]
    assert len(rules) == 3
    assert all(rule in rules for rule in [(nodes, nodes), (nodes, own), (own, nodes)])


def test_oidc_provider_only_when_asked_for():
    assert resources(access=AccessSpec(oidc=True))["OidcProvider"]["Properties"] == {
        "Url": {"Fn::GetAtt": ["Cluster", "OpenIdConnectIssuerUrl"]},
        "ClientIdList": ["sts.amazonaws.com"],
    }
    assert "OidcProvider" not in resources()
