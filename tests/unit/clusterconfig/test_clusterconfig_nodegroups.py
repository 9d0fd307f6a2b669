"""What a managed node group of a ClusterConfig becomes."""

import pytest

from app.clusters.clusterconfig import translate

VPC = {
    "id": "vpc-1",
    "subnets": {
        "public": {"eu-central-1a": {"id": "subnet-a"}, "two": {"id": "subnet-b", "az": "eu-central-1b"}},
        "private": {"inner": {"id": "subnet-c", "az": "eu-central-1a"}, "eu-central-1b": {"id": "subnet-d"}},
    },
}


def test_a_group_that_says_nothing_gets_what_eksctl_makes(documents):
    assert documents.group() == {
        "name": "workers",
        "instance_types": ["m5.large"],
        "scaling": {"min": 2, "max": 2, "desired": 2},
        "capacity_type": "ON_DEMAND",
        "ami_type": "AL2023_x86_64_STANDARD",
        "disk_size_gib": 80,
        "subnet_type": "public",
    }


@pytest.mark.parametrize(
    ("keys", "target", "value", "origin"),
    [
        ({"instanceType": "t3.large"}, "/instance_types", ["t3.large"], "/instanceType"),
        ({"instanceTypes": ["t3.large", "t3a.large"]}, "/instance_types/1", "t3a.large", "/instanceTypes/1"),
        ({"spot": True}, "/capacity_type", "SPOT", "/spot"),
        ({"spot": False}, "/capacity_type", "ON_DEMAND", "/spot"),
        ({"volumeSize": 20}, "/disk_size_gib", 20, "/volumeSize"),
        ({"labels": {"a/b": "c"}}, "/labels/a~1b", "c", "/labels/a~1b"),
        ({"tags": {"k": "v"}}, "/tags", {"k": "v"}, "/tags"),
        ({"updateConfig": {"maxUnavailable": 3}}, "/update", {"max_unavailable": 3}, "/updateConfig"),
        (
            {"updateConfig": {"maxUnavailablePercentage": 75}},
            "/update/max_unavailable_percent",
            75,
            "/updateConfig/maxUnavailablePercentage",
        ),
        ({"amiFamily": "Bottlerocket"}, "/ami_type", "BOTTLEROCKET_x86_64", "/amiFamily"),
        ({"privateNetworking": True}, "/subnet_type", "private", "/privateNetworking"),
        ({"privateNetworking": False}, "/subnet_type", "public", "/privateNetworking"),
        ({"availabilityZones": ["eu-central-1b"]}, "/zones/0", "eu-central-1b", "/availabilityZones/0"),
        ({"subnets": ["eu-central-1b"]}, "/zones/0", "eu-central-1b", "/subnets/0"),
        ({"ssh": {"publicKeyName": "mine"}}, "/ssh", {"key_name": "mine"}, "/ssh"),
        ({"ssh": {"allow": True, "publicKeyName": "mine"}}, "/ssh/key_name", "mine", "/ssh/publicKeyName"),
        ({"ssh": {"publicKey": "ssh-ed25519 AAAA"}}, "/ssh/public_key", "ssh-ed25519 AAAA", "/ssh/publicKey"),
        (
            {"ssh": {"allow": True, "sourceSecurityGroupIds": ["sg-1"], "enableSsm": True}},
            "/ssh/source_security_groups/0",
            "sg-1",
            "/ssh/sourceSecurityGroupIds/0",
        ),
    ],
)
def test_each_key(documents, resolve, keys, target, value, origin):
    document = documents.with_group(**keys)
    translation = translate(document)
    assert resolve(translation.nodegroups[0], target) == value
    assert translation.original_pointer(f"/nodegroups/0{target}") == f"/managedNodeGroups/0{origin}"
    for pointer in translation.origins.values():
        resolve(document, pointer)


@pytest.mark.parametrize(
    ("keys", "scaling"),
    [
        ({"desiredCapacity": 5}, {"min": 5, "max": 5, "desired": 5}),
        ({"minSize": 1, "maxSize": 4}, {"min": 1, "max": 4}),
        ({"minSize": 1, "maxSize": 4, "desiredCapacity": 2}, {"min": 1, "max": 4, "desired": 2}),
        ({"minSize": 3}, {"min": 3, "max": 3}),
        ({"maxSize": 6}, {"min": 2, "max": 6}),
        ({"minSize": 1, "desiredCapacity": 3}, {"min": 1, "max": 3, "desired": 3}),
        ({"maxSize": 9, "desiredCapacity": 3}, {"min": 3, "max": 9, "desired": 3}),
        ({"desiredCapacity": 0}, {"min": 0, "max": 1, "desired": 0}),
        ({"maxSize": 0}, {"min": 2, "max": 0}),
        ({"minSize": 5, "maxSize": -1}, {"min": 5, "max": -1}),
    ],
)
def test_scaling(documents, keys, scaling):
    assert documents.group(**keys)["scaling"] == scaling


def test_a_bound_leads_back_to_what_it_follows_from(documents):
    translation = translate(documents.with_group(minSize=3))
    assert translation.original_pointer("/nodegroups/0/scaling/max") == "/managedNodeGroups/0/minSize"


@pytest.mark.parametrize(
    ("keys", "image"),
    [
        ({"instanceType": "m5.large"}, "AL2023_x86_64_STANDARD"),
        ({"instanceTypes": ["m6i.large", "c7a.large", "m7i-flex.large"]}, "AL2023_x86_64_STANDARD"),
        ({"instanceType": "m6g.large"}, "AL2023_ARM_64_STANDARD"),
        ({"instanceType": "c7gn.xlarge"}, "AL2023_ARM_64_STANDARD"),
        ({"instanceType": "a1.large"}, "AL2023_ARM_64_STANDARD"),
        ({"instanceType": "im4gn.large"}, "AL2023_ARM_64_STANDARD"),
        ({"instanceType": "g5.xlarge"}, "AL2023_x86_64_NVIDIA"),
        ({"instanceType": "g4ad.xlarge"}, "AL2023_x86_64_STANDARD"),
        ({"instanceType": "g4dn.xlarge"}, "AL2023_x86_64_NVIDIA"),
        ({"instanceType": "g5g.xlarge"}, "AL2023_ARM_64_NVIDIA"),
        ({"instanceType": "p5en.48xlarge"}, "AL2023_x86_64_NVIDIA"),
        ({"instanceType": "inf2.xlarge"}, "AL2023_x86_64_NEURON"),
        ({"instanceType": "u-6tb1.metal"}, "AL2023_x86_64_STANDARD"),
        ({"instanceType": "hpc7g.4xlarge", "amiFamily": "Bottlerocket"}, "BOTTLEROCKET_ARM_64"),
        ({"instanceType": "trn1.2xlarge", "amiFamily": "Bottlerocket"}, "BOTTLEROCKET_x86_64"),
        ({"instanceType": "g6.xlarge", "amiFamily": "Bottlerocket"}, "BOTTLEROCKET_x86_64_NVIDIA"),
        ({"amiFamily": "AmazonLinux2023"}, "AL2023_x86_64_STANDARD"),
    ],
)
def test_images(documents, keys, image):
    assert documents.group(**keys)["ami_type"] == image


@pytest.mark.parametrize(
    "family", ["AmazonLinux2", "BottlerocketFips", "UbuntuPro2404", "WindowsServer2022FullContainer"]
)
def test_families_that_are_known_and_not_supported(documents, family):
    errors = documents.errors(documents.with_group(amiFamily=family))
    assert "not supported yet" in errors["/managedNodeGroups/0/amiFamily"]


def test_a_family_that_is_unknown(documents):
    errors = documents.errors(documents.with_group(amiFamily="AmazonLinux2024"))
    assert "AmazonLinux2023" in errors["/managedNodeGroups/0/amiFamily"]


@pytest.mark.parametrize(
    ("value", "taints", "warned"),
    [
        ([{"key": "a", "value": "b", "effect": "NoSchedule"}], [("a", "b", "NO_SCHEDULE")], False),
        ([{"key": "a", "effect": "NoExecute"}], [("a", None, "NO_EXECUTE")], False),
        ([{"key": "a", "effect": "PREFER_NO_SCHEDULE"}], [("a", None, "PREFER_NO_SCHEDULE")], False),
        ([{"key": "a", "value": "b"}], [("a", "b", "NO_SCHEDULE")], True),
        ({"a": "b:PreferNoSchedule"}, [("a", "b", "PREFER_NO_SCHEDULE")], False),
        ({"a": ":NoExecute"}, [("a", None, "NO_EXECUTE")], False),
        ({"a": "NoExecute"}, [("a", None, "NO_EXECUTE")], False),
        ({"a": "b"}, [("a", "b", "NO_SCHEDULE")], True),
        ({"a": ""}, [("a", None, "NO_SCHEDULE")], True),
        ({"x/y": "1:NoSchedule", "z": "2:NO_EXECUTE"}, [("x/y", "1", "NO_SCHEDULE"), ("z", "2", "NO_EXECUTE")], False),
        ([], [], False),
    ],
)
def test_taints(documents, resolve, value, taints, warned):
    document = documents.with_group(taints=value)
    translation = translate(document)
    (group,) = translation.nodegroups
    assert [(taint["key"], taint.get("value"), taint["effect"]) for taint in group["taints"]] == taints
    assert bool(translation.warnings) == warned
    for index in range(len(taints)):
        resolve(document, translation.original_pointer(f"/nodegroups/0/taints/{index}/effect"))


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ([{"value": "b", "effect": "NoSchedule"}], "/0/key"),
        ([{"key": "a", "effect": "noschedule"}], "/0/effect"),
        ([{"key": "a", "value": True, "effect": "NoSchedule"}], "/0/value"),
        (["a"], "/0"),
        ({"a": "noschedule"}, "/a"),
        ({"a": "b:Never"}, "/a"),
        ({"a": "b:"}, "/a"),
        ({"a/b": 1}, "/a~1b"),
        ("a", ""),
    ],
)
def test_taints_that_are_wrong(documents, value, pointer):
    assert list(documents.errors(documents.with_group(taints=value))) == [f"/managedNodeGroups/0/taints{pointer}"]


def test_ssh_without_a_key(documents):
    translation = translate(documents.with_group(ssh={"allow": True}))
    assert translation.nodegroups[0]["ssh"] == {}
    assert "private key" in translation.warnings[0]


@pytest.mark.parametrize(
    ("ssh", "warned"),
    [
        ({"allow": False}, False),
        ({}, False),
        ({"allow": False, "publicKeyName": "mine"}, True),
        ({"sourceSecurityGroupIds": ["sg-1"]}, True),
    ],
)
def test_no_ssh(documents, ssh, warned):
    translation = translate(documents.with_group(ssh=ssh))
    assert "ssh" not in translation.nodegroups[0]
    assert bool(translation.warnings) == warned


@pytest.mark.parametrize(
    ("keys", "ids"),
    [
        ({}, ["subnet-a", "subnet-b"]),
        ({"privateNetworking": True}, ["subnet-c", "subnet-d"]),
        ({"subnets": ["two"]}, ["subnet-b"]),
        ({"subnets": ["eu-central-1b", "eu-central-1a"]}, ["subnet-b", "subnet-a"]),
        ({"subnets": ["subnet-other"]}, ["subnet-other"]),
        ({"subnets": ["eu-central-1a"], "privateNetworking": True}, ["subnet-c"]),
        ({"availabilityZones": ["eu-central-1b"]}, ["subnet-b"]),
        ({"availabilityZones": ["eu-central-1b"], "subnets": ["two", "eu-central-1a"]}, ["subnet-b", "subnet-a"]),
    ],
)
def test_subnets_of_an_existing_vpc(documents, keys, ids):
    (group,) = translate({**documents.with_group(**keys), "vpc": VPC}).nodegroups
    assert group["subnets"] == ids
    assert "subnet_type" not in group


@pytest.mark.parametrize(
    ("keys", "pointer"),
    [
        ({"subnets": ["inner"]}, "/subnets/0"),
        ({"subnets": ["tow"]}, "/subnets/0"),
        ({"subnets": ["two"], "privateNetworking": True}, "/subnets/0"),
        ({"availabilityZones": ["eu-central-1c"]}, "/availabilityZones/0"),
    ],
)
def test_subnets_that_are_not_there(documents, keys, pointer):
    errors = documents.errors({**documents.with_group(**keys), "vpc": VPC})
    assert list(errors) == [f"/managedNodeGroups/0{pointer}"]


@pytest.mark.parametrize(("kind", "private"), [("private", False), ("public", True)])
def test_a_vpc_with_subnets_of_the_other_kind_only(documents, kind, private):
    vpc = {"id": "vpc-1", "subnets": {kind: VPC["subnets"][kind]}}
    errors = documents.errors({**documents.with_group(privateNetworking=private), "vpc": vpc})
    assert list(errors) == ["/managedNodeGroups/0/privateNetworking"]


@pytest.mark.parametrize(
    ("keys", "pointer"),
    [
        ({"subnets": ["subnet-1"]}, "/subnets/0"),
        ({"availabilityZones": ["eu-central-1c"]}, "/availabilityZones/0"),
        ({"subnets": ["eu-central-1c"]}, "/subnets/0"),
    ],
)
def test_zones_of_a_vpc_to_be_made(documents, keys, pointer):
    document = {**documents.with_group(**keys), "availabilityZones": ["eu-central-1a", "eu-central-1b"]}
    assert list(documents.errors(document)) == [f"/managedNodeGroups/0{pointer}"]


@pytest.mark.parametrize(
    "keys",
    [
        {"disableIMDSv1": True, "disablePodIMDS": False, "efaEnabled": False, "enableDetailedMonitoring": False},
        {"iam": {"withAddonPolicies": {"ebs": False}}, "nodeRepairConfig": {"enabled": False}},
        {"securityGroups": {"withLocal": False, "attachIDs": []}, "preBootstrapCommands": None},
        {"volumeEncrypted": True},
        {"volumeType": "gp3", "volumeIOPS": 3000, "volumeThroughput": 125, "spot": False, "privateNetworking": False},
        {"instanceTypes": [], "subnets": [], "availabilityZones": [], "ssh": {"enableSsm": True}},
    ],
)
def test_keys_that_say_what_is_done_anyway(documents, keys):
    assert documents.group(**keys) == documents.group()


@pytest.mark.parametrize(
    ("keys", "pointer"),
    [
        ({"instanceType": "m5.large", "instanceTypes": ["m5.large"]}, "/instanceType"),
        ({"instanceTypes": ["m5.large", "m6g.large"]}, "/instanceTypes"),
        ({"updateConfig": {}}, "/updateConfig"),
        ({"updateConfig": {"maxUnavailable": 1, "maxUnavailablePercentage": 1}}, "/updateConfig"),
        ({"ssh": {"publicKey": "a", "publicKeyName": "b"}}, "/ssh/publicKey"),
        ({"ssh": {"allow": "yes"}}, "/ssh/allow"),
        ({"desiredCapacity": "2"}, "/desiredCapacity"),
        ({"desiredCapacity": True}, "/desiredCapacity"),
        ({"desiredCapacity": 2.0}, "/desiredCapacity"),
        ({"labels": {"zone": 1}}, "/labels/zone"),
        ({"labels": {"zone": True}}, "/labels/zone"),
        ({"labels": ["a"]}, "/labels"),
        ({"tags": {"a": None}}, "/tags/a"),
        ({"volumeType": "gp2"}, "/volumeType"),
        ({"name": None}, "/name"),
    ],
)
def test_what_is_wrong_is_pointed_at(documents, keys, pointer):
    assert list(documents.errors(documents.with_group(**keys))) == [f"/managedNodeGroups/0{pointer}"]


def test_disks_are_encrypted_all_the_same(documents):
    translation = translate(documents.with_group(volumeEncrypted=False))
    assert translation.nodegroups == [documents.group()]
    assert translation.warnings[0].startswith("/managedNodeGroups/0/volumeEncrypted: ")


def test_numbers_where_text_is_wanted_are_to_be_quoted(documents):
    errors = documents.errors(documents.with_group(labels={"a": 1, "b": False}))
    assert all("quotes" in detail for detail in errors.values())


def test_the_same_name_twice(documents):
    assert list(documents.errors(managedNodeGroups=[{"name": "a"}, {"name": "b"}, {"name": "a"}])) == [
        "/managedNodeGroups/2/name"
    ]
