"""ECR's registry protocol: tokens, pushes, pulls, tags, and whose repository a request is about."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Cloud
from .oci import INDEX, MANIFEST, Registry, digest_of

OTHER = {"aws_access_key_id": "210987654321"}


@pytest.fixture
def registry(cloud: Cloud) -> Registry:
    """With a token of the developer."""
    return Registry(cloud)


@pytest.fixture
def name(repository: Callable[..., str]) -> str:
    """A repository."""
    return repository("team/app")


@pytest.mark.calendar
def test_the_token_is_that_of_a_docker_login(cloud: Cloud, registry: Registry) -> None:
    """AWS:password in Base64, for twelve hours, with the endpoint to log in to."""
    user, _, password = base64.b64decode(registry.given["authorizationToken"]).decode().partition(":")
    assert user == "AWS" and len(password) > 30
    assert registry.given["proxyEndpoint"] == cloud.endpoint
    left = registry.given["expiresAt"].timestamp() - cloud_time(cloud)
    assert 12 * 3600 - 60 < left <= 12 * 3600 + 60


def cloud_time(cloud: Cloud) -> float:
    """The time by the local cloud's clock."""
    made = cloud.client("ecr").create_repository(repositoryName="clock")["repository"]["createdAt"].timestamp()
    cloud.client("ecr").delete_repository(repositoryName="clock")
    return float(made)


def test_without_a_token_there_is_a_challenge(registry: Registry) -> None:
    """401 asks for basic authentication; what is no token of ECR is refused."""
    for path in ("/v2/", "/v2/some/where/tags/list"):
        refused = registry.call("GET", path, Authorization="")
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith('Basic realm="http')
    wrong = base64.b64encode(b"AWS:wrong").decode()
    assert registry.call("GET", "/v2/", Authorization=f"Basic {wrong}").status == 400
    assert registry.call("GET", "/v2/").status == 200


@pytest.mark.calendar
def test_tokens_expire(cloud: Cloud, registry: Registry, name: str) -> None:
    """An old one is denied; a new one is another."""
    assert cloud.control("DELETE", "registry-tokens")[1]["expired"] >= 1
    refused = registry.call("GET", f"/v2/{name}/tags/list")
    assert refused.status == 403
    assert refused.error == "DENIED: Your authorization token has expired. Reauthenticate and try again."
    assert Registry(cloud).call("GET", f"/v2/{name}/tags/list").status == 200


def test_blobs_are_pushed_whole_or_in_chunks(registry: Registry, name: str) -> None:
    """Each chunk goes on where the last one ended; the digest is checked at the end."""
    data = b"0123456789" * 1000
    digest = digest_of(data)
    missing = registry.call("HEAD", f"/v2/{name}/blobs/{digest}")
    assert missing.status == 404
    location = registry.call("POST", f"/v2/{name}/blobs/uploads/", b"").headers["Location"]
    first = registry.call("PATCH", location, data[:4000], Content_Range="0-3999")
    assert (first.status, first.headers["Range"]) == (202, "0-3999")
    gap = registry.call("PATCH", location, data[5000:], Content_Range="5000-9999")
    assert (gap.status, gap.headers["Range"]) == (416, "0-3999")
    assert registry.call("GET", location).status == 204
    registry.call("PATCH", location, data[4000:9000], Content_Range="4000-8999")
    wrong = registry.call("PUT", f"{location}?digest={digest_of(b'x')}", b"not the rest")
    assert (wrong.status, wrong.error.partition(":")[0]) == (400, "DIGEST_INVALID")
    done = registry.call("PUT", f"{location}?digest={digest}", data[9000:])
    assert (done.status, done.headers["Docker-Content-Digest"]) == (201, digest)
    head = registry.call("HEAD", f"/v2/{name}/blobs/{digest}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "10000", b"")
    assert registry.call("GET", f"/v2/{name}/blobs/{digest}").body == data
    part = registry.call("GET", f"/v2/{name}/blobs/{digest}", Range="bytes=9995-")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, data[9995:], "bytes 9995-9999/10000")
    assert registry.call("GET", f"/v2/{name}/blobs/{digest}", Range="bytes=10000-").status == 416
    single = registry.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(b'all at once')}", b"all at once")
    assert single.status == 201
    assert registry.call("PUT", f"{location}?digest={digest}").error.startswith("BLOB_UPLOAD_UNKNOWN")
    again = registry.call("POST", f"/v2/{name}/blobs/uploads/", b"").headers["Location"]
    assert registry.call("DELETE", again).status == 204
    assert registry.call("GET", again).status == 404


def test_manifests_by_tag_and_digest(registry: Registry, name: str) -> None:
    """Byte for byte, with their media type; HEAD says how long."""
    digest = registry.image(name, "1.0")
    by_tag, by_digest = (registry.call("GET", f"/v2/{name}/manifests/{ref}") for ref in ("1.0", digest))
    assert by_tag.body == by_digest.body and digest_of(by_tag.body) == digest
    assert by_tag.headers["Content-Type"] == MANIFEST
    head = registry.call("HEAD", f"/v2/{name}/manifests/1.0")
    assert head.headers["Content-Length"] == str(len(by_tag.body))
    assert head.headers["Docker-Content-Digest"] == digest
    unknown = registry.call("GET", f"/v2/{name}/manifests/2.0")
    assert (unknown.status, unknown.error.partition(":")[0]) == (404, "MANIFEST_UNKNOWN")


def test_a_manifest_comes_after_what_it_names(registry: Registry, name: str) -> None:
    """Layers before images, images before an index."""
    absent = {"digest": digest_of(b"absent"), "size": 6, "mediaType": "x/y"}
    document = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": absent, "layers": []}).encode()
    refused = registry.call("PUT", f"/v2/{name}/manifests/1", document, Content_Type=MANIFEST)
    assert refused.status == 404 and absent["digest"] in refused.error
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [absent]}).encode()
    assert registry.call("PUT", f"/v2/{name}/manifests/1", index, Content_Type=INDEX).status == 404
    assert registry.call("PUT", f"/v2/{name}/manifests/1", b"no json").error.startswith("MANIFEST_INVALID")


def test_an_index_holds_its_images(cloud: Cloud, registry: Registry, name: str) -> None:
    """They can't be deleted before it; its size is that of the largest."""
    small, large = registry.image(name, layer=b"s"), registry.image(name, layer=b"l" * 5000)
    index = registry.index(name, "multi", small, large)
    ecr = cloud.client("ecr")
    answer = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": small}])
    assert answer["failures"][0]["failureCode"] == "ImageReferencedByManifestList"
    assert answer["failures"][0]["failureReason"] == f"Requested image referenced by manifest list: [{index}]"
    details = {one["imageDigest"]: one for one in ecr.describe_images(repositoryName=name)["imageDetails"]}
    assert details[index]["imageSizeInBytes"] == details[large]["imageSizeInBytes"] > 5000
    assert "artifactMediaType" not in details[index] and details[index]["imageManifestMediaType"] == INDEX
    answer = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": d} for d in (index, small, large)])
    assert not answer["failures"] and len(answer["imageIds"]) == 3


def test_tags_are_listed_in_pages(registry: Registry, name: str) -> None:
    """In the order of the alphabet, with a link to the next page."""
    digest = registry.image(name, "b")
    manifest = registry.call("GET", f"/v2/{name}/manifests/{digest}").body
    for tag in ("c", "a"):
        registry.call("PUT", f"/v2/{name}/manifests/{tag}", manifest, Content_Type=MANIFEST)
    first = registry.call("GET", f"/v2/{name}/tags/list?n=2")
    assert json.loads(first.body) == {"name": name, "tags": ["a", "b"]}
    more = first.headers["Link"].partition(">")[0].removeprefix("<")
    last = registry.call("GET", more)
    assert json.loads(last.body)["tags"] == ["c"] and "Link" not in last.headers
    assert name in json.loads(registry.call("GET", "/v2/_catalog").body)["repositories"]


def test_immutable_tags_can_not_be_moved(cloud: Cloud, registry: Registry, name: str) -> None:
    """All but those that a filter excludes, or only those; the same image may be pushed again."""
    ecr = cloud.client("ecr")
    first = registry.image(name, "1.0")
    registry.image(name, "1.0")
    filters = [{"filterType": "WILDCARD", "filter": "latest*"}]
    ecr.put_image_tag_mutability(
        repositoryName=name, imageTagMutability="IMMUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters=filters
    )
    manifest = registry.call("GET", f"/v2/{name}/manifests/{first}").body
    refused = registry.call("PUT", f"/v2/{name}/manifests/1.0", manifest, Content_Type=MANIFEST)
    said = (
        f"The image tag '1.0' already exists in the '{name}' repository and cannot be overwritten "
        "because the tag is immutable."
    )
    assert (refused.status, refused.error) == (400, f"TAG_INVALID: {said}")
    with pytest.raises(ecr.exceptions.ImageTagAlreadyExistsException) as error:
        ecr.put_image(repositoryName=name, imageManifest=manifest.decode(), imageTag="1.0")
    assert error.value.response["Error"]["Message"] == said
    same = registry.call("GET", f"/v2/{name}/manifests/1.0").body
    assert registry.call("PUT", f"/v2/{name}/manifests/1.0", same, Content_Type=MANIFEST).status == 201
    registry.image(name, "latest")
    registry.image(name, "latest")
    ecr.put_image_tag_mutability(
        repositoryName=name, imageTagMutability="MUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters=filters
    )
    registry.image(name, "1.0")
    assert registry.call("PUT", f"/v2/{name}/manifests/latest", manifest, Content_Type=MANIFEST).status == 400


def test_referrers_of_an_image(cloud: Cloud, registry: Registry, name: str) -> None:
    """What says that it is about an image, as signatures do, by protocol and API."""
    subject = registry.image(name, "signed")
    described = {"mediaType": MANIFEST, "digest": subject, "size": 1}
    signature = registry.image(name, artifactType="application/vnd.test.signature", subject=described)
    found = json.loads(registry.call("GET", f"/v2/{name}/referrers/{subject}").body)
    assert [one["digest"] for one in found["manifests"]] == [signature]
    listed = cloud.client("ecr").list_image_referrers(repositoryName=name, subjectId={"imageDigest": subject})
    assert listed["referrers"][0]["artifactType"] == "application/vnd.test.signature"


def test_deletion_by_the_protocol(registry: Registry, name: str) -> None:
    """202 for a manifest; 404 afterwards. Blobs are not deleted by hand."""
    digest = registry.image(name, "old")
    assert registry.call("DELETE", f"/v2/{name}/blobs/{digest}").status == 405
    assert registry.call("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
    assert registry.call("DELETE", f"/v2/{name}/manifests/{digest}").status == 404


def test_the_token_says_whose_registry(cloud: Cloud, registry: Registry, name: str) -> None:
    """The same name in two accounts and two regions is four repositories."""
    registry.image(name, "mine")
    theirs = cloud.client("ecr", **OTHER)
    theirs.create_repository(repositoryName=name)
    other = Registry(cloud, theirs)
    assert json.loads(other.call("GET", f"/v2/{name}/tags/list").body)["tags"] == []
    other.image(name, "theirs")
    assert json.loads(registry.call("GET", f"/v2/{name}/tags/list").body)["tags"] == ["mine"]
    theirs.delete_repository(repositoryName=name, force=True)


def test_another_account_needs_the_repository_s_leave(cloud: Cloud, registry: Registry, name: str) -> None:
    """Without a policy it is denied; a policy that names it lets it pull and not push."""
    digest = registry.image(name, "1.0")
    other = Registry(cloud, cloud.client("ecr", **OTHER))
    denied = other.call("GET", f"/v2/{name}/manifests/1.0")
    assert denied.status == 403
    assert "is not authorized to perform: ecr:BatchGetImage on resource" in denied.error
    assert "because no resource-based policy allows the ecr:BatchGetImage action" in denied.error
    statement = {
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::210987654321:root"},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    cloud.client("ecr").set_repository_policy(repositoryName=name, policyText=policy)
    assert other.call("GET", f"/v2/{name}/manifests/1.0").headers["Docker-Content-Digest"] == digest
    assert other.call("POST", f"/v2/{name}/blobs/uploads/", b"").status == 403
    found = cloud.client("ecr", **OTHER).batch_get_image(
        registryId="123456789012", repositoryName=name, imageIds=[{"imageTag": "1.0"}]
    )
    assert found["images"][0]["imageId"] == {"imageDigest": digest, "imageTag": "1.0"}


@pytest.fixture
def user(cloud: Cloud) -> Any:
    """Gives tokens of a user who may do what he is given leave for; deleted afterwards."""
    iam = cloud.client("iam")
    iam.create_user(UserName="ecr-user")
    key = iam.create_access_key(UserName="ecr-user")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    def allow(*actions: str) -> Registry:
        statement = {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken", *actions], "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="ecr-user", PolicyName="ecr", PolicyDocument=document)
        return Registry(cloud, cloud.client("ecr", **keys))

    yield allow
    iam.delete_access_key(UserName="ecr-user", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="ecr-user", PolicyName="ecr")
    iam.delete_user(UserName="ecr-user")


def test_policies_of_the_caller_count_too(user: Any, name: str) -> None:
    """Who may only read can't push; the permissions that ECR's guide gives for a push are enough for one."""
    reader = user("ecr:ListImages", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    assert reader.call("GET", f"/v2/{name}/tags/list").status == 200
    refused = reader.call("POST", f"/v2/{name}/blobs/uploads/", b"")
    assert refused.status == 403 and "no identity-based policy allows" in refused.error
    pusher = user(
        "ecr:CompleteLayerUpload", "ecr:UploadLayerPart", "ecr:InitiateLayerUpload",
        "ecr:BatchCheckLayerAvailability", "ecr:PutImage", "ecr:BatchGetImage",
    )  # fmt: skip
    assert pusher.call("HEAD", f"/v2/{name}/blobs/{digest_of(b'absent')}").status == 404
    digest = pusher.image(name, "1.0")
    assert pusher.call("HEAD", f"/v2/{name}/manifests/1.0").headers["Docker-Content-Digest"] == digest
    assert pusher.call("DELETE", f"/v2/{name}/manifests/{digest}").status == 403


def test_rules_refuse_calls_of_the_protocol_too(cloud: Cloud, registry: Registry, name: str) -> None:
    """By the name of the operation that a request stands for, in the form that clients parse."""
    registry.image(name, "1.0")
    cloud.control("DELETE", "calls")
    cloud.rules({"api": "registry:BatchGetImage", "status": 429, "code": "ThrottlingException", "times": 1})
    refused = registry.call("GET", f"/v2/{name}/manifests/1.0")
    assert (refused.status, refused.error) == (429, "TOOMANYREQUESTS: Rate exceeded")
    assert registry.call("HEAD", f"/v2/{name}/manifests/1.0").status == 200
    assert cloud.control("GET", "calls")[1] == {"registry:BatchGetImage": 2}


@pytest.mark.parametrize(
    "document",
    [
        {"schemaVersion": 1}, {"schemaVersion": 2, "layers": {}}, {"schemaVersion": 2, "config": {"digest": 5}},
        {"schemaVersion": 2, "manifests": ["sha256:0"]},
        {"schemaVersion": 2, "annotations": {"localcloud.pushed-at": "?"}},
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(registry: Registry, name: str, document: dict[str, Any]) -> None:
    """400 MANIFEST_INVALID."""
    refused = registry.call("PUT", f"/v2/{name}/manifests/1", json.dumps(document).encode(), Content_Type=MANIFEST)
    assert refused.status == 400 and refused.error.startswith("MANIFEST_INVALID")
