"""Images by ECR's API: pushed, listed in pages, described, deleted; and what is refused."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .oci import CONFIG, HELM, MANIFEST, Registry, digest_of
from .test_stacks import refused

FILTERS = "imageTagMutabilityExclusionFilters"


@pytest.fixture
def name(repository: Callable[..., str]) -> str:
    """A repository."""
    return repository("images/app")


@pytest.mark.calendar
def test_an_image_in_detail(cloud: Cloud, name: str) -> None:
    """Tags, size of configuration and layers, media types of manifest and artifact, and when it was pulled."""
    registry, ecr = Registry(cloud), cloud.client("ecr")
    before = time.time() - 1
    chart = registry.image(name, "0.1.0", b"c" * 4000, HELM)
    untagged = registry.image(name)
    details = {one["imageDigest"]: one for one in ecr.describe_images(repositoryName=name)["imageDetails"]}
    one = details[chart]
    assert one["imageTags"] == ["0.1.0"] and 4000 < one["imageSizeInBytes"] < 4200
    assert (one["imageManifestMediaType"], one["artifactMediaType"]) == (MANIFEST, HELM)
    assert before <= one["imagePushedAt"].timestamp() <= time.time() + 1
    assert (one["registryId"], one["repositoryName"]) == ("123456789012", name)
    assert "imageTags" not in details[untagged] and "lastRecordedPullTime" not in one
    registry.call("GET", f"/v2/{name}/manifests/0.1.0")
    one = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "0.1.0"}])["imageDetails"][0]
    assert one["lastRecordedPullTime"].timestamp() >= before


def test_images_in_pages_and_by_tag_status(cloud: Cloud, name: str) -> None:
    """ListImages has an entry for each tag; both cut pages where they are told to."""
    registry, ecr = Registry(cloud), cloud.client("ecr")
    digests = [registry.image(name, f"v{n}") for n in range(3)]
    bare = [registry.image(name) for _ in range(2)]
    manifest = registry.call("GET", f"/v2/{name}/manifests/v0").body.decode()
    ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="again")
    pages = list(ecr.get_paginator("list_images").paginate(repositoryName=name, PaginationConfig={"PageSize": 4}))
    assert [len(page["imageIds"]) for page in pages] == [4, 2]
    listed = [image_id for page in pages for image_id in page["imageIds"]]
    assert {"imageDigest": digests[0], "imageTag": "again"} in listed and {"imageDigest": bare[0]} in listed
    for status, wanted in (("TAGGED", set(digests)), ("UNTAGGED", set(bare)), ("ANY", {*digests, *bare})):
        chosen = {"tagStatus": status}
        found = ecr.list_images(repositoryName=name, filter=chosen)["imageIds"]
        assert {one["imageDigest"] for one in found} == wanted
        found = ecr.describe_images(repositoryName=name, filter=chosen)["imageDetails"]
        assert {one["imageDigest"] for one in found} == wanted
    first = ecr.describe_images(repositoryName=name, maxResults=2)
    rest = ecr.describe_images(repositoryName=name, nextToken=first["nextToken"])
    assert len(first["imageDetails"]) == 2 and len(rest["imageDetails"]) == 3 and "nextToken" not in rest
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        ecr.describe_images(repositoryName=name, nextToken="nonsense")


def test_deletion_in_batches(cloud: Cloud, name: str) -> None:
    """By tag only the tag, unless it is the last; by digest all; each failure has its code."""
    registry, ecr = Registry(cloud), cloud.client("ecr")
    digest = registry.image(name, "a")
    manifest = registry.call("GET", f"/v2/{name}/manifests/a").body.decode()
    for tag in "bcd":
        ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag=tag)
    other = registry.image(name, "other")

    def delete(*image_ids: dict[str, str]) -> Any:
        return ecr.batch_delete_image(repositoryName=name, imageIds=list(image_ids))

    assert delete({"imageTag": "a"})["imageIds"] == [{"imageDigest": digest, "imageTag": "a"}]
    failed = delete(
        {"imageTag": "a"}, {"imageDigest": "sha256:0"}, {}, {"imageDigest": "no digest"},
        {"imageDigest": digest, "imageTag": "other"},
    )  # fmt: skip
    assert [failure["failureCode"] for failure in failed["failures"]] == [
        "ImageNotFound", "ImageNotFound", "MissingDigestAndTag", "InvalidImageDigest", "ImageTagDoesNotMatchDigest",
    ]  # fmt: skip
    assert failed["failures"][0]["failureReason"] == "Requested image not found" and failed["imageIds"] == []
    gone = delete({"imageDigest": digest})["imageIds"]
    assert gone == [{"imageDigest": digest, "imageTag": tag} for tag in "bcd"]
    assert delete({"imageTag": "other"})["imageIds"] == [{"imageDigest": other, "imageTag": "other"}]
    assert ecr.list_images(repositoryName=name)["imageIds"] == []


def test_manifests_by_the_api(cloud: Cloud, name: str) -> None:
    """BatchGetImage gives them as they were pushed; PutImage of what is there already is refused."""
    registry, ecr = Registry(cloud), cloud.client("ecr")
    digest = registry.image(name, "1.0")
    got = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "1.0"}, {"imageTag": "2.0"}])
    image = got["images"][0]
    assert image["imageId"] == {"imageDigest": digest, "imageTag": "1.0"}
    assert digest_of(image["imageManifest"].encode()) == digest and image["imageManifestMediaType"] == MANIFEST
    assert got["failures"][0]["failureCode"] == "ImageNotFound"
    with pytest.raises(ecr.exceptions.ImageAlreadyExistsException) as error:
        ecr.put_image(repositoryName=name, imageManifest=image["imageManifest"], imageTag="1.0")
    assert refused(error)[1] == (
        f"Image with digest '{digest}' and tag '1.0' already exists in the repository with name '{name}' "
        "in the registry with id '123456789012'"
    )
    with pytest.raises(ecr.exceptions.ImageDigestDoesNotMatchException):
        ecr.put_image(repositoryName=name, imageManifest=image["imageManifest"], imageDigest=digest_of(b"x"))


def test_layers_by_the_api(cloud: Cloud, name: str) -> None:
    """Uploaded in parts that follow each other; then the image may name them."""
    ecr, data = cloud.client("ecr"), b"a layer"
    digest = digest_of(data)
    upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    with pytest.raises(ecr.exceptions.EmptyUploadException):
        ecr.complete_layer_upload(repositoryName=name, uploadId=upload, layerDigests=[digest])
    with pytest.raises(ecr.exceptions.InvalidLayerPartException):
        ecr.upload_layer_part(
            repositoryName=name, uploadId=upload, partFirstByte=5, partLastByte=11, layerPartBlob=data
        )
    ecr.upload_layer_part(repositoryName=name, uploadId=upload, partFirstByte=0, partLastByte=6, layerPartBlob=data)
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload, layerDigests=[digest])
    absent = digest_of(b"absent")
    found = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[digest, absent])["layers"]
    assert [layer["layerAvailability"] for layer in found] == ["AVAILABLE", "UNAVAILABLE"]
    assert ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest)["downloadUrl"].endswith(digest)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [{"digest": absent, "size": 6}]}
    with pytest.raises(ecr.exceptions.LayersNotFoundException) as error:
        ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest))
    assert absent in refused(error)[1]
    manifest["config"], manifest["layers"] = {"mediaType": CONFIG, "digest": digest, "size": 7}, []
    assert ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest))["image"]["imageId"]["imageDigest"]


def test_what_is_not_there_is_named(cloud: Cloud, name: str) -> None:
    """In the words of ECR."""
    ecr = cloud.client("ecr")
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException) as error:
        ecr.list_images(repositoryName="none/such")
    assert refused(error)[1] == (
        "The repository with name 'none/such' does not exist in the registry with id '123456789012'"
    )
    with pytest.raises(ecr.exceptions.ImageNotFoundException) as error:
        ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "9"}])
    assert refused(error)[1] == (
        "The image with imageId {imageDigest:'null', imageTag:'9'} does not exist within the repository "
        f"with name '{name}' in the registry with id '123456789012'"
    )
    with pytest.raises(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=name)


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"repositoryName": "UPPER"}, "repositoryName"), ({"repositoryName": "a//b"}, "repositoryName"),
        ({"repositoryName": "ok", "imageTagMutability": "SOMETIMES"}, "imageTagMutability"),
        ({"repositoryName": "ok", "imageTagMutability": "MUTABLE_WITH_EXCLUSION"}, FILTERS),
        ({"repositoryName": "ok", "imageTagMutability": "IMMUTABLE",
          FILTERS: [{"filterType": "WILDCARD", "filter": "x"}]}, FILTERS),
    ],
)  # fmt: skip
def test_parameters_are_checked(cloud: Cloud, given: dict[str, Any], parameter: str) -> None:
    """InvalidParameterException says which one and why."""
    with pytest.raises(ClientError) as error:
        cloud.client("ecr").create_repository(**given)
    code, message = refused(error)
    assert code == "InvalidParameterException"
    assert message.startswith(f"Invalid parameter at '{parameter}' failed to satisfy constraint: '")


def test_tags_of_a_repository(cloud: Cloud, name: str) -> None:
    """Added, replaced, removed; fifty at most."""
    ecr, arn = cloud.client("ecr"), f"arn:aws:ecr:us-west-2:123456789012:repository/{name}"
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "3"}])
    ecr.untag_resource(resourceArn=arn, tagKeys=["b"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "a", "Value": "3"}]
    with pytest.raises(ecr.exceptions.TooManyTagsException):
        ecr.tag_resource(resourceArn=arn, tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    with pytest.raises(ecr.exceptions.InvalidTagParameterException):
        ecr.tag_resource(resourceArn=arn, tags=[{"Key": "aws:x", "Value": ""}])


@pytest.mark.calendar
def test_a_token_is_what_the_cli_expects(cloud: Cloud) -> None:
    """`aws ecr get-login-password` splits it at the colon."""
    given = cloud.client("ecr").get_authorization_token()["authorizationData"]
    assert len(given) == 1
    assert base64.b64decode(given[0]["authorizationToken"]).decode().count(":") == 1
