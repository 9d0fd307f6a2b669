"""The service with a cluster that has a real Kubernetes; tests share the cluster, each has a namespace of its own.

The cluster is made once, by Slipway, and its rows are there in every test's database.
"""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import LocalCloud, until_it_answers
from integration.running import WORKERS, Json, Slipway, running
from unit.helm.conftest import Source, chart_of, helm_binary, source

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.connection import Connection

__all__ = ["helm_binary", "source"]

CLUSTER = "shared"

APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers: [{name: web, image: {{ .Values.image | quote }}}]
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}}
stringData: {password: {{ .Values.password | quote }}}
"""
TEST = """
apiVersion: v1
kind: Pod
metadata: {name: {{ .Release.Name }}-test, annotations: {helm.sh/hook: test}}
spec:
  restartPolicy: Never
  containers: [{name: test, image: {{ .Values.testImage | quote }}}]
"""
VALUES = "replicas: 1\nimage: registry.example/web:1.0\npassword: hunter22\ntestImage: registry.example/test:1\n"
NOTES = "Reach {{ .Release.Name }} with the password {{ .Values.password }}"
SCHEMA = '{"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 0}}}'

MISSING = "registry.example/web:missing"
"""An image that the local cloud cannot pull."""


def app_chart(version: str = "0.1.0", **files: str) -> bytes:
    """Return the chart that most tests install; `files` replace or add some (see `chart_of`)."""
    own = {"values_yaml": VALUES, "templates__values_yaml": "", "templates__app_yaml": APP}
    own |= {"templates__test_yaml": TEST, "templates__NOTES.txt": NOTES, "values_schema_json": SCHEMA}
    return chart_of("demo", version, **(own | files))


async def connection_to(service: Slipway) -> Connection:
    """Return the way to the cluster, as an administrator of it."""
    outputs = (await service.get(f"/clusters/{CLUSTER}"))["status"]["outputs"]
    cloud = await service.gateway()
    return Connection(outputs["endpoint"], outputs["certificate_authority"], lambda: cloud.eks.token(CLUSTER))


@pytest.fixture(scope="session")
def cluster_database(
    kubernetes_programs: Path,
    localcloud: LocalCloud,
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A SQLite file with an active cluster of two nodes, to be copied."""
    path = tmp_path_factory.mktemp("cluster") / "slipway.db"
    shutil.copyfile(sqlite_template, path)

    async def make() -> None:
        async with running(f"sqlite:///{path}", localcloud) as service:
            await service.cluster(CLUSTER, WORKERS | {"scaling": {"min": 2, "max": 3, "desired": 2}}, version="1.34")
            await until_it_answers(await connection_to(service))

    with pytest.MonkeyPatch.context() as environment:
        for name, value in localcloud.env.items():
            environment.setenv(name, value)
        asyncio.run(make())
    return path


@pytest.fixture
def database_with_cluster(cluster_database: Path, tmp_path: Path) -> str:
    """The URL of a SQLite file of this test alone, with the cluster."""
    path = tmp_path / "slipway.db"
    shutil.copyfile(cluster_database, path)
    return f"sqlite:///{path}"


class Helmed(Slipway):
    """A running service, a chart repository, and a namespace that no other test has."""

    source: Source
    namespace: str

    def body(self, name: str = "web", **spec: Any) -> Json:
        """Return the spec of a release of the repository's chart."""
        chart = {"repository": self.source.repository, "name": "demo", "version": "0.1.0"}
        base = {"cluster": CLUSTER, "namespace": self.namespace, "name": name, "chart": chart}
        return {**base, "create_namespace": True, "timeout_seconds": 120, **spec}

    async def install(self, name: str = "web", **spec: Any) -> Json:
        """Install a release, which must succeed; return it."""
        await self.do("POST", "/releases", self.body(name, **spec))
        return await self.release(name)

    async def release(self, name: str = "web") -> Json:
        return await self.get(f"/releases/{name}", namespace=self.namespace)


@pytest.fixture
async def slipway(
    database_with_cluster: str, aws_environment: LocalCloud, source: Source, helm_binary: Path
) -> AsyncIterator[Helmed]:
    """The running service."""
    source.publish(("demo", "0.1.0", app_chart()), ("demo", "0.2.0", app_chart("0.2.0")))
    async with running(database_with_cluster, aws_environment) as service:
        helmed = Helmed(service.app, service.client, service.cloud, service._clients)
        helmed.source, helmed.namespace = source, f"t-{uuid.uuid4().hex[:8]}"
        yield helmed


@pytest.fixture
async def kubernetes(slipway: Helmed) -> AsyncIterator[Kubernetes]:
    """The cluster's API server, behind Slipway's back."""
    async with Kubernetes(await connection_to(slipway), request_seconds=60) as client:
        yield client
