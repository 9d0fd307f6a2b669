"""What is in a registry, and the way in: credentials, images, scans, lifecycle previews."""

import tarfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import LocalCloud
from integration.registries.conftest import Pusher, helm_push, made, pusher_of
from integration.running import Slipway, pointers, running
from sqlalchemy import text

NOBODY = f"sha256:{'0' * 64}"


@pytest.fixture
async def pusher(slipway: Slipway, tmp_path: Path) -> Pusher:
    """Who pushes to a registry that is there, of the service's own name."""
    registry = await made(slipway, slipway.name)
    return await pusher_of(slipway, tmp_path, registry["id"])


def chart(folder: Path, name: str, version: str) -> Path:
    """Write a packaged chart."""
    path = folder / f"{name}-{version}.tgz"
    content = f"apiVersion: v2\nname: {name}\nversion: {version}\n".encode()
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(f"{name}/Chart.yaml")
        info.size = len(content)
        archive.addfile(info, BytesIO(content))
    return path


@pytest.mark.calendar
async def test_helm_logs_in_and_pushes_with_the_credentials(slipway: Slipway, tmp_path: Path) -> None:
    registry = await made(slipway, f"team/{slipway.name}")
    path = f"/registries/{registry['id']}"
    answer = await slipway.client.post(f"{path}/credentials")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert given["repository_uri"] == registry["status"]["outputs"]["repository_uri"]
    expires = datetime.fromisoformat(given["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=11) < expires <= timedelta(hours=12, minutes=1)
    for line in (given["docker_login"], given["helm_registry_login"]):
        assert "--password-stdin" in line
        assert given["password"] not in line
    assert given["helm_registry_login"].startswith("helm registry login ")
    packed = chart(tmp_path, slipway.name, "1.2.3")
    await helm_push(given, packed, tmp_path)
    [image] = (await slipway.get(f"{path}/images"))["items"]
    assert image["tags"] == ["1.2.3"]
    assert image["artifact_media_type"] == "application/vnd.cncf.helm.config.v1+json"
    assert image["media_type"] == "application/vnd.oci.image.manifest.v1+json"
    assert image["size_bytes"] > packed.stat().st_size
    problem = await slipway.refused("POST", f"{path}/images/1.2.3/scan")
    assert (problem["status"], problem["code"]) == (409, "image_not_scannable")


async def test_credentials_are_kept_nowhere(
    slipway: Slipway, pusher: Pusher, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    path, headers = f"/registries/{slipway.name}/credentials", {"Idempotency-Key": "one"}
    answers = [await slipway.client.post(path, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    passwords = [answer.json()["password"] for answer in answers] + [pusher.credentials["password"]]
    async with slipway.app.state.database.read() as session:
        kept = (await session.execute(text("SELECT body FROM idempotency_keys"))).scalars().all()
    files = b"".join(
        file.read_bytes() for file in Path(sqlite_url.removeprefix("sqlite:///")).parent.glob("slipway.db*")
    )
    for password in passwords:
        assert password not in "".join(body or "" for body in kept)
        assert password.encode() not in files
        assert password not in caplog.text


async def test_images_are_listed_newest_first_and_filtered(slipway: Slipway, pusher: Pusher) -> None:
    now = datetime.now(UTC)
    path = f"/registries/{slipway.name}/images"
    old = pusher.image("1.0", pushed_at=now - timedelta(days=40))
    pusher.image("1.1", pushed_at=now - timedelta(days=20))
    pusher.image("2.0", pushed_at=now - timedelta(days=10))
    new = pusher.image("2.0")  # takes the tag from the one before

    async def found(**query: Any) -> list[list[str]]:
        return [image["tags"] for image in (await slipway.get(path, **query))["items"]]

    assert await found() == [["2.0"], [], ["1.1"], ["1.0"]]
    assert await found(tag="1.*") == [["1.1"], ["1.0"]]
    assert await found(tag="*0") == [["2.0"], ["1.0"]]
    assert await found(tag="nothing") == []
    assert await found(untagged="true") == [[]]
    assert await found(untagged="false") == [["2.0"], ["1.1"], ["1.0"]]
    assert await found(older_than_days=15) == [["1.1"], ["1.0"]]
    assert await found(newer_than_days=15) == [["2.0"], []]
    assert await found(older_than_days=15, tag="*.1") == [["1.1"]]
    image = await slipway.get(f"{path}/{old}")
    assert (image["digest"], image["tags"], image["last_pulled_at"]) == (old, ["1.0"], None)
    assert image == await slipway.get(f"{path}/1.0")
    usage = await slipway.get(f"/registries/{slipway.name}/usage")
    assert (usage["images"], usage["tagged"], usage["untagged"]) == (4, 3, 1)
    assert usage["size_bytes"] >= 4 * 100
    assert usage["last_pushed_at"] == (await slipway.get(f"{path}/{new}"))["pushed_at"]
    for query, pointer in (
        ({"older_than_days": "-1"}, "/query/older_than_days"),
        ({"untagged": "perhaps"}, "/query/untagged"),
        ({"tag": "x" * 129}, "/query/tag"),
        ({"colour": "red"}, "/query/colour"),
        ({"page_token": "mine"}, "/query/page_token"),
    ):
        problem = await slipway.refused("GET", path, params=query)
        assert (problem["status"], pointers(problem)) == (422, [pointer])


async def test_pages_tell_of_the_moment_of_the_first(slipway: Slipway, pusher: Pusher) -> None:
    path = f"/registries/{slipway.name}/images"
    digests = [pusher.image(f"{number}.0") for number in range(5)]
    slipway.cloud.reset()
    first = await slipway.get(path, limit=2)
    pusher.image("late")
    second = await slipway.get(path, limit=2, page_token=first["next_page_token"])
    third = await slipway.get(path, limit=2, page_token=second["next_page_token"])
    listed = [image["digest"] for page in (first, second, third) for image in page["items"]]
    assert sorted(listed) == sorted(digests)
    assert third["next_page_token"] is None
    assert slipway.cloud.calls()["ecr:DescribeImages"] == 1
    assert (await slipway.get(path, limit=1))["items"][0]["tags"] == ["late"]
    problem = await slipway.refused("GET", path, params={"page_token": first["next_page_token"], "tag": "1*"})
    assert problem["code"] == "invalid_page_token"


async def test_images_are_deleted_in_batches_with_the_result_of_each(slipway: Slipway, pusher: Pusher) -> None:
    path = f"/registries/{slipway.name}/images"
    first = pusher.image("1.0")
    pusher.image("2.0")
    query = {"digest": [first, NOBODY], "tag": ["2.0", "3.0"]}
    headers = {"Idempotency-Key": "delete-once"}
    answer = await slipway.client.delete(path, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [(result["status"], result["code"]) for result in body["results"]] == [
        ("deleted", None),
        ("failed", "ImageNotFound"),
        ("deleted", None),
        ("failed", "ImageNotFound"),
    ]
    assert (body["deleted"], body["failed"]) == (2, 2)
    again = await slipway.client.delete(path, params=query, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == body
    assert (await slipway.get(path))["items"] == []
    for bad, pointer in (
        ({}, "/query/digest"),
        ({"digest": ["sha256:1"]}, "/query/digest"),
        ({"tag": ["-"]}, "/query/tag"),
        ({"tag": ["1.0", "1.0"]}, "/query/digest"),
        ({"tag": [f"{number}" for number in range(101)]}, "/query/digest"),
    ):
        problem = await slipway.refused("DELETE", path, params=bad)
        assert (problem["status"], pointers(problem)) == (422, [pointer])


@pytest.mark.calendar
async def test_scans(slipway: Slipway, pusher: Pusher) -> None:
    path = f"/registries/{slipway.name}/images"
    digest = pusher.image("1.0-vulnerable")  # the word that the local cloud's scans go by
    scan = await slipway.until(f"{path}/{digest}/scan", lambda found: found["status"] == "COMPLETE")
    assert scan["digest"] == digest
    severities = [finding["severity"] for finding in scan["findings"]]
    order = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"]
    assert severities == sorted(severities, key=order.index)
    assert scan["severity_counts"] == {name: severities.count(name) for name in set(severities)}
    assert scan["findings"][0]["name"].startswith("CVE-")
    assert scan["findings"][0]["package"]
    critical = await slipway.get(f"{path}/1.0-vulnerable/scan", severity="CRITICAL", limit=1)
    assert [finding["severity"] for finding in critical["findings"]] == ["CRITICAL"]
    rest = await slipway.get(
        f"{path}/1.0-vulnerable/scan", severity="CRITICAL", limit=1, page_token=critical["next_page_token"]
    )
    names = [page["findings"][0]["name"] for page in (critical, rest)]
    assert names == [finding["name"] for finding in scan["findings"] if finding["severity"] == "CRITICAL"]
    assert (await slipway.get(f"{path}/{digest}"))["scan"]["severity_counts"] == scan["severity_counts"]
    problem = await slipway.refused("POST", f"{path}/{digest}/scan")
    assert (problem["status"], problem["code"]) == (409, "scan_limit_reached")

    await slipway.do("PATCH", f"/registries/{slipway.name}", {"scan_on_push": False})
    unscanned = pusher.image("2.0")
    problem = await slipway.refused("GET", f"{path}/{unscanned}/scan")
    assert (problem["status"], problem["code"]) == (404, "scan_not_found")
    started = await slipway.client.post(f"{path}/{unscanned}/scan")
    assert (started.status_code, started.json()["digest"]) == (200, unscanned)
    await slipway.until(f"{path}/{unscanned}/scan", lambda found: found["status"] == "COMPLETE")


@pytest.mark.calendar
async def test_what_a_lifecycle_policy_would_expire(slipway: Slipway, pusher: Pusher) -> None:
    path = f"/registries/{slipway.name}/lifecycle-preview"
    now = datetime.now(UTC)
    old = [pusher.image(f"{n}.0", pushed_at=now - timedelta(days=30 + n)) for n in range(3)]
    pusher.image("9.0")
    for method, code, status in (("GET", "lifecycle_preview_not_found", 404), ("POST", "lifecycle_missing", 409)):
        problem = await slipway.refused(method, path)
        assert (problem["status"], problem["code"]) == (status, code)
    selection = {"tag_status": "any", "count_type": "sinceImagePushed", "count_number": 14}
    policy = {"rules": [{"rule_priority": 7, "selection": selection}]}
    started = await slipway.client.post(path, json={"lifecycle": policy})
    assert (started.status_code, started.json()["status"]) == (200, "IN_PROGRESS")
    preview = await slipway.until(path, lambda found: found["status"] == "COMPLETE")
    assert (preview["expiring"], {image["digest"] for image in preview["images"]}) == (3, {*old})
    assert {(image["action"], image["rule_priority"]) for image in preview["images"]} == {("EXPIRE", 7)}
    assert preview["policy"]["rules"][0]["selection"]["countNumber"] == 14
    page = await slipway.get(path, limit=2)
    assert len(page["images"]) == 2
    assert len((await slipway.get(path, limit=2, page_token=page["next_page_token"]))["images"]) == 1
    assert (await slipway.get(f"/registries/{slipway.name}/usage"))["images"] == 4

    keep = {"tag_status": "any", "count_type": "imageCountMoreThan", "count_number": 1}
    await slipway.do(
        "PATCH", f"/registries/{slipway.name}", {"lifecycle": {"rules": [{"rule_priority": 1, "selection": keep}]}}
    )
    assert (await slipway.client.post(path)).status_code == 200
    preview = await slipway.until(path, lambda found: found["status"] == "COMPLETE")
    assert preview["expiring"] == 3
    bad = {"rules": [{"rule_priority": 1, "selection": {**selection, "tag_status": "tagged"}}]}
    problem = await slipway.refused("POST", path, {"lifecycle": bad})
    assert pointers(problem) == ["/lifecycle/rules/0/selection/tag_pattern_list"]


async def test_what_is_not_there(slipway: Slipway, pusher: Pusher) -> None:
    path = f"/registries/{slipway.name}"
    for method, what, code, status in (
        ("GET", f"/images/{NOBODY}", "image_not_found", 404),
        ("GET", "/images/nothing", "image_not_found", 404),
        ("GET", "/images/-not-a-tag", "image_not_found", 404),
        ("GET", f"/images/{NOBODY}/scan", "image_not_found", 404),
        ("POST", f"/images/{NOBODY}/scan", "image_not_found", 404),
        ("POST", "/images/sha256:12/scan", "image_not_found", 404),
    ):
        problem = await slipway.refused(method, path + what)
        assert (problem["status"], problem["code"]) == (status, code), what
    pusher.image("1.0")
    ecr = await slipway.aws("ecr")
    await ecr.delete_repository(repositoryName=slipway.name, force=True)
    for method, what in (("GET", "/images"), ("GET", "/usage"), ("DELETE", "/images?tag=1.0"), ("GET", "/images/1.0")):
        problem = await slipway.refused(method, path + what)
        assert problem["code"] in ("registry_not_ready", "image_not_found")
    await slipway.do("DELETE", f"{path}?force=true")


async def test_registries_of_another_project_are_nobodys(database_url: str, aws_environment: LocalCloud) -> None:
    async with running(database_url, aws_environment) as slipway:
        registry = await made(slipway, slipway.name)
        async with slipway.app.state.database.write() as session:
            await session.execute(
                text(
                    "INSERT INTO projects (id, name, created_at) SELECT 'prj_other', 'other', created_at FROM projects"
                )
            )
            await session.execute(text("UPDATE registries SET project_id = 'prj_other'"))
        for path in ("", "/images", "/usage", "/images/1.0", "/lifecycle-preview"):
            problem = await slipway.refused("GET", f"/registries/{registry['id']}{path}")
            assert (problem["status"], problem["code"]) == (404, "registry_not_found")
        assert (await slipway.refused("POST", f"/registries/{registry['id']}/credentials"))["status"] == 404
        assert (await slipway.get("/registries"))["items"] == []
