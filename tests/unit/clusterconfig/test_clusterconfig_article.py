"""The article's file, as it stands there, is what Slipway replaces: it has to be understood as written."""

from pathlib import Path

import pytest

from app.clusters.clusterconfig import translate
from app.core.documents import parse_yaml

ARTICLE = Path(__file__).parents[3] / "examples" / "eksdemo.yaml"


@pytest.fixture(scope="module")
def document():
    return parse_yaml(ARTICLE.read_bytes())


@pytest.fixture(scope="module")
def translation(document):
    return translate(document)


def test_the_cluster(translation):
    assert translation.cluster == {
        "name": "eksdemo",
        "region": "us-west-2",
        "network": {
            "vpc_id": "vpc-a6e6f4e9",
            "subnets": {
                "public": ["subnet-b4cf9ef3", "subnet-a5d3bcfe"],
                "private": ["subnet-c5a3bdf0", "subnet-1f5c79df"],
            },
        },
        "endpoints": {"public": True, "private": False},
        "access": {"mode": "API_AND_CONFIG_MAP", "creator_admin": True},
    }


def test_the_node_group(translation):
    assert translation.nodegroups == [
        {
            "name": "standard-workers",
            "instance_types": ["m5.large"],
            "scaling": {"min": 2, "max": 2, "desired": 2},
            "capacity_type": "ON_DEMAND",
            "ami_type": "AL2023_x86_64_STANDARD",
            "disk_size_gib": 80,
            "labels": {"role": "worker"},
            "taints": [{"key": "dedicated", "value": "worker", "effect": "NO_SCHEDULE"}],
            "tags": {"nodegroup-type": "demo"},
            "subnets": ["subnet-b4cf9ef3", "subnet-a5d3bcfe"],
            "ssh": {},
        }
    ]


def test_the_warnings(translation):
    taint, ssh = translation.warnings
    assert taint.startswith("/managedNodeGroups/0/taints/dedicated: ")
    assert "NO_SCHEDULE" in taint
    assert ssh.startswith("/managedNodeGroups/0/ssh/allow: ")
    assert "SSM Parameter Store" in ssh


def test_what_it_says_of_its_network_is_kept_to_be_checked(translation):
    facts = {(fact.resource, fact.attribute): fact.value for fact in translation.expectations}
    assert facts == {
        ("vpc-a6e6f4e9", "cidr"): "10.0.0.0/16",
        ("subnet-b4cf9ef3", "zone"): "us-west-2a",
        ("subnet-a5d3bcfe", "zone"): "us-west-2b",
        ("subnet-c5a3bdf0", "zone"): "us-west-2a",
        ("subnet-1f5c79df", "zone"): "us-west-2b",
    }


@pytest.mark.parametrize(
    ("target", "original"),
    [
        ("/name", "/metadata/name"),
        ("/region", "/metadata/region"),
        ("/version", ""),
        ("/network", "/vpc"),
        ("/network/vpc_id", "/vpc/id"),
        ("/network/subnets", "/vpc/subnets"),
        ("/network/subnets/private", "/vpc/subnets/private"),
        ("/network/subnets/private/1", "/vpc/subnets/private/us-west-2b/id"),
        ("/network/subnets/private/9", "/vpc/subnets/private"),
        ("/endpoints/public", "/vpc/clusterEndpoints/publicAccess"),
        ("/endpoints/public_cidrs", "/vpc/clusterEndpoints"),
        ("/access/mode", ""),
        ("/nodegroups", "/managedNodeGroups"),
        ("/nodegroups/0", "/managedNodeGroups/0"),
        ("/nodegroups/0/version", "/managedNodeGroups/0"),
        ("/nodegroups/0/scaling/min", "/managedNodeGroups/0/desiredCapacity"),
        ("/nodegroups/0/labels/role", "/managedNodeGroups/0/labels/role"),
        ("/nodegroups/0/labels/role/[key]", "/managedNodeGroups/0/labels/role"),
        ("/nodegroups/0/taints/0/value", "/managedNodeGroups/0/taints/dedicated"),
        ("/nodegroups/0/ssh/public_key", "/managedNodeGroups/0/ssh"),
        ("/nodegroups/0/subnets/1", "/managedNodeGroups/0"),
        ("/nodegroups/0/instance_types/0", "/managedNodeGroups/0/instanceType"),
        ("/nodegroups/7/name", "/managedNodeGroups"),
    ],
)
def test_places_lead_back_to_the_file(translation, target, original):
    assert translation.original_pointer(target) == original


def test_every_place_that_is_led_to_exists(translation, document, resolve):
    for original in (*translation.origins.values(), *(fact.pointer for fact in translation.expectations)):
        resolve(document, original)
