"""Basic scans, and what belongs to a registry as a whole: replication, caches, policies, settings."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .oci import CONFIG, HELM, Registry
from .test_stacks import refused

ACCOUNT, OTHER = "123456789012", "210987654321"


def findings(cloud: Cloud, name: str, tag: str, **more: Any) -> Any:
    """The findings, once the scan has ended."""
    while True:
        found = cloud.client("ecr").describe_image_scan_findings(repositoryName=name, imageId={"imageTag": tag}, **more)
        if found["imageScanStatus"]["status"] != "IN_PROGRESS":
            return found
        time.sleep(0.02)


def test_a_scan_finds_what_the_name_says(cloud: Cloud, repository: Any) -> None:
    """`vulnerable` in a tag or the repository's name; the same at each scan, the worst first, in pages."""
    name, ecr = repository("scan/app"), cloud.client("ecr")
    registry = Registry(cloud)
    registry.image(name, "1.0-vulnerable")
    registry.image(name, "1.0")
    with pytest.raises(ecr.exceptions.ScanNotFoundException) as error:
        ecr.describe_image_scan_findings(repositoryName=name, imageId={"imageTag": "1.0"})
    assert "Image scan does not exist for the image with" in refused(error)[1]
    for tag in ("1.0-vulnerable", "1.0"):
        begun = ecr.start_image_scan(repositoryName=name, imageId={"imageTag": tag})
        assert begun["imageScanStatus"] == {"status": "IN_PROGRESS"} and begun["imageId"]["imageTag"] == tag
    bad, good = findings(cloud, name, "1.0-vulnerable", maxResults=5), findings(cloud, name, "1.0")
    assert good["imageScanStatus"]["status"] == "COMPLETE" and good["imageScanFindings"]["findings"] == []
    counts = bad["imageScanFindings"]["findingSeverityCounts"]
    assert counts["CRITICAL"] == 2 and sum(counts.values()) == 8
    assert len(bad["imageScanFindings"]["findings"]) == 5
    assert bad["imageScanFindings"]["findings"][0]["severity"] == "CRITICAL"
    rest = findings(cloud, name, "1.0-vulnerable", nextToken=bad["nextToken"])
    assert len(rest["imageScanFindings"]["findings"]) == 3 and "nextToken" not in rest
    one = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "1.0-vulnerable"}])["imageDetails"][0]
    assert one["imageScanStatus"]["status"] == "COMPLETE"
    assert one["imageScanFindingsSummary"]["findingSeverityCounts"] == counts


@pytest.mark.calendar
def test_an_image_is_scanned_once_a_day(cloud: Cloud, repository: Any) -> None:
    """The scan on push counts; charts and indexes can't be scanned."""
    name, ecr = repository("pushed", imageScanningConfiguration={"scanOnPush": True}), cloud.client("ecr")
    registry = Registry(cloud)
    image = registry.image(name, "1.0")
    with pytest.raises(ecr.exceptions.LimitExceededException) as error:
        ecr.start_image_scan(repositoryName=name, imageId={"imageTag": "1.0"})
    assert refused(error)[1] == "The scan quota per image has been exceeded. Wait and try again."
    registry.image(name, "chart", kind=HELM)
    registry.index(name, "index", image)
    for tag in ("chart", "index"):
        with pytest.raises(ecr.exceptions.UnsupportedImageTypeException):
            ecr.start_image_scan(repositoryName=name, imageId={"imageTag": tag})
    registry.image(name, "unscannable", kind=CONFIG)
    failed = findings(cloud, name, "unscannable")
    assert failed["imageScanStatus"]["status"] == "FAILED" and "imageScanFindings" not in failed
    assert failed["imageScanStatus"]["description"].startswith("UnsupportedImageError")


def test_the_registry_s_rules_scan_on_push_too(cloud: Cloud, repository: Any) -> None:
    """By a filter on names."""
    ecr, name = cloud.client("ecr"), repository("prod/app")
    rules = [{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "prod*", "filterType": "WILDCARD"}]}]
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=rules)
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"]["rules"] == rules
    Registry(cloud).image(name, "1.0")
    assert findings(cloud, name, "1.0")["imageScanStatus"]["status"] == "COMPLETE"
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])
    ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})
    found = ecr.batch_get_repository_scanning_configuration(repositoryNames=[name, "none"])
    assert found["scanningConfigurations"][0]["scanFrequency"] == "SCAN_ON_PUSH"
    assert found["failures"][0]["failureCode"] == "REPOSITORY_NOT_FOUND"


def test_images_are_replicated(cloud: Cloud, repository: Any) -> None:
    """To another region as they are pushed; to another account if its registry's policy says so."""
    ecr, name = cloud.client("ecr"), repository("team/app")
    theirs = cloud.client("ecr", aws_access_key_id=OTHER)
    east = cloud.client("ecr", region_name="us-east-1")
    places = [{"region": "us-east-1", "registryId": ACCOUNT}, {"region": "us-west-2", "registryId": OTHER}]
    filters = [{"filter": "team/", "filterType": "PREFIX_MATCH"}]
    given = {"rules": [{"destinations": places, "repositoryFilters": filters}]}
    ecr.put_replication_configuration(replicationConfiguration=given)
    found = ecr.describe_registry()
    assert found["registryId"] == ACCOUNT and found["replicationConfiguration"] == given
    digest = Registry(cloud).image(name, "1.0")
    copied = east.describe_images(repositoryName=name)["imageDetails"][0]
    assert (copied["imageDigest"], copied["imageTags"]) == (digest, ["1.0"])
    assert Registry(cloud, east).call("GET", f"/v2/{name}/manifests/1.0").status == 200
    states = ecr.describe_image_replication_status(repositoryName=name, imageId={"imageTag": "1.0"})
    assert [state["status"] for state in states["replicationStatuses"]] == ["COMPLETE", "FAILED"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "replication", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": ["ecr:CreateRepository", "ecr:ReplicateImage"],
                "Resource": [f"arn:aws:ecr:us-west-2:{OTHER}:repository/*"],
            }
        ],
    }  # fmt: skip
    theirs.put_registry_policy(policyText=json.dumps(policy))
    Registry(cloud).image(name, "2.0")
    assert theirs.describe_images(repositoryName=name)["imageDetails"][0]["imageTags"] == ["2.0"]
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        own = [{"destinations": [{"region": "us-west-2", "registryId": ACCOUNT}]}]
        ecr.put_replication_configuration(replicationConfiguration={"rules": own})
    ecr.put_replication_configuration(replicationConfiguration={"rules": []})
    theirs.delete_registry_policy()
    for client in (east, theirs):
        client.delete_repository(repositoryName=name, force=True)


def test_the_policy_of_a_registry(cloud: Cloud) -> None:
    """Only replication and caches may be given; without one there is an error."""
    ecr = cloud.client("ecr")
    for call in (ecr.get_registry_policy, ecr.delete_registry_policy):
        with pytest.raises(ecr.exceptions.RegistryPolicyNotFoundException):
            call()
    statement = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "ecr:PutImage", "Resource": "*"}
    with pytest.raises(ecr.exceptions.InvalidParameterException) as error:
        ecr.put_registry_policy(policyText=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert refused(error)[1].endswith("'Invalid registry policy provided'")


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Perhaps", "Principal": "*", "Action": "ecr:*"},
        {"Effect": "Allow", "Action": "ecr:*"},
        {"Effect": "Allow", "Principal": {"AWS": "nobody"}, "Action": "ecr:*"},
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/unknown"}, "Action": "ecr:*"},
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"},
        {"Effect": "Allow", "Principal": "*", "Action": "ecr:*", "Resource": "*"},
    ],
)
def test_policies_of_repositories_are_checked(cloud: Cloud, repository: Any, statement: dict[str, Any]) -> None:
    """Also for principals of the account that don't exist."""
    ecr = cloud.client("ecr")
    with pytest.raises(ecr.exceptions.InvalidParameterException) as error:
        ecr.set_repository_policy(
            repositoryName=repository("policy"),
            policyText=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
    assert refused(error)[1] == (
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"
    )


def test_pull_through_cache_rules(cloud: Cloud) -> None:
    """Made, changed, validated and deleted; upstreams that ECR knows, with a secret where they need one."""
    ecr = cloud.client("ecr")
    made = ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="public", upstreamRegistryUrl="public.ecr.aws")
    assert (made["upstreamRegistry"], made["registryId"]) == ("ecr-public", ACCOUNT)
    with pytest.raises(ecr.exceptions.PullThroughCacheRuleAlreadyExistsException):
        ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="public", upstreamRegistryUrl="quay.io")
    with pytest.raises(
        ecr.exceptions.UnsupportedUpstreamRegistryException, match=r"URL registry\.example\.com is invalid"
    ):
        ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="own", upstreamRegistryUrl="registry.example.com")
    with pytest.raises(ecr.exceptions.UnsupportedUpstreamRegistryException, match="requires authentication"):
        ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="hub", upstreamRegistryUrl="registry-1.docker.io")
    secret = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:ecr-pullthroughcache/hub-abc"
    hub = {"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry-1.docker.io", "credentialArn": secret}
    ecr.create_pull_through_cache_rule(**hub)
    listed = ecr.describe_pull_through_cache_rules()["pullThroughCacheRules"]
    assert [rule["ecrRepositoryPrefix"] for rule in listed] == ["hub", "public"]
    changed = ecr.update_pull_through_cache_rule(ecrRepositoryPrefix="hub", credentialArn=secret + "d")
    assert changed["credentialArn"] == secret + "d" and changed["updatedAt"]
    assert ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="public")["isValid"]
    assert not ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="hub")["isValid"]
    for prefix in ("hub", "public"):
        ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
    with pytest.raises(ecr.exceptions.PullThroughCacheRuleNotFoundException):
        ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="hub")


def test_ecr_is_throttled_and_counted_like_the_rest(cloud: Cloud) -> None:
    """Rules for API calls hold for it."""
    ecr = cloud.client("ecr")
    cloud.control("DELETE", "calls")
    cloud.rules({"api": "ecr:Describe*", "status": 400, "code": "ThrottlingException", "times": 1})
    with pytest.raises(ClientError) as error:
        ecr.describe_repositories()
    assert refused(error) == ("ThrottlingException", "Rate exceeded")
    ecr.describe_repositories()
    assert cloud.control("GET", "calls")[1] == {"ecr:DescribeRepositories": 2}
