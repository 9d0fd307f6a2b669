"""The gateways on a real API server: a cluster of the local cloud, with IAM tokens and kwok for nodes.

Tests share the cluster, and each has a namespace of its own.
"""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from integration.conftest import LocalCloud, until_it_answers
from unit.helm.conftest import chart_of, helm_binary

from app.core.outbound import Rules
from app.gateways.aws.eks_token import eks_token
from app.gateways.helm.chart import Chart, ChartLimits, read_chart
from app.gateways.helm.client import Helm
from app.gateways.helm.releases import Releases
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.namespaces import apply_namespace
from app.gateways.kubernetes.objects import Ref

__all__ = ["helm_binary"]

REGION = "us-west-2"
CLUSTER = "gateways"
_names = itertools.count()


def _stack() -> dict[str, Any]:
    """The least that a cluster with nodes needs."""

    def resource(type_: str, **properties: Any) -> dict[str, Any]:
        return {"Type": f"AWS::{type_}", "Properties": properties}

    def role(service: str) -> dict[str, Any]:
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        return resource("IAM::Role", AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [statement]})

    subnets = [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}]
    found = {
        "Vpc": resource("EC2::VPC", CidrBlock="10.0.0.0/16"),
        "Internet": resource("EC2::InternetGateway"),
        "Attachment": resource(
            "EC2::VPCGatewayAttachment", VpcId={"Ref": "Vpc"}, InternetGatewayId={"Ref": "Internet"}
        ),
        "Table": resource("EC2::RouteTable", VpcId={"Ref": "Vpc"}),
        "Way": resource(
            "EC2::Route",
            RouteTableId={"Ref": "Table"},
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId={"Ref": "Internet"},
        )
        | {"DependsOn": "Attachment"},
        "ClusterRole": role("eks.amazonaws.com"),
        "NodeRole": role("ec2.amazonaws.com"),
        "Cluster": resource(
            "EKS::Cluster",
            Name=CLUSTER,
            Version="1.34",
            RoleArn={"Fn::GetAtt": ["ClusterRole", "Arn"]},
            ResourcesVpcConfig={"SubnetIds": subnets},
            AccessConfig={"AuthenticationMode": "API_AND_CONFIG_MAP"},
        ),
        "Nodes": resource(
            "EKS::Nodegroup",
            ClusterName={"Ref": "Cluster"},
            NodegroupName="workers",
            NodeRole={"Fn::GetAtt": ["NodeRole", "Arn"]},
            Subnets=subnets,
            InstanceTypes=["m5.large"],
            ScalingConfig={"MinSize": 1, "MaxSize": 3, "DesiredSize": 2},
        )
        | {"DependsOn": ["Way", "TableA", "TableB"]},
    }
    for number, zone in enumerate("AB"):
        found[f"Subnet{zone}"] = resource(
            "EC2::Subnet",
            VpcId={"Ref": "Vpc"},
            CidrBlock=f"10.0.{number}.0/24",
            AvailabilityZone=f"{REGION}{zone.lower()}",
            MapPublicIpOnLaunch=True,
        )
        found[f"Table{zone}"] = resource(
            "EC2::SubnetRouteTableAssociation", SubnetId={"Ref": f"Subnet{zone}"}, RouteTableId={"Ref": "Table"}
        )
    return {"Resources": found}


@dataclass(frozen=True)
class Cluster:
    """A cluster's API server, and keys of its administrator."""

    endpoint: str
    certificate_authority: str
    access_key: str
    secret_key: str

    def connection(self, *, endpoint: str | None = None, secret_key: str | None = None) -> Connection:
        async def token() -> str:
            return eks_token(self.access_key, secret_key or self.secret_key, None, CLUSTER, REGION)

        return Connection(endpoint or self.endpoint, self.certificate_authority, token)


@pytest.fixture(scope="session")
def cluster(kubernetes_programs: Path, localcloud: LocalCloud) -> Cluster:
    """A cluster with two nodes."""
    keys = {
        "aws_access_key_id": localcloud.env["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": localcloud.env["AWS_SECRET_ACCESS_KEY"],
    }
    session = boto3.Session(region_name=REGION, **keys)
    stacks = session.client("cloudformation", endpoint_url=localcloud.endpoint)
    stacks.create_stack(StackName=CLUSTER, TemplateBody=json.dumps(_stack()), Capabilities=["CAPABILITY_IAM"])
    stacks.get_waiter("stack_create_complete").wait(StackName=CLUSTER, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    found = session.client("eks", endpoint_url=localcloud.endpoint).describe_cluster(name=CLUSTER)["cluster"]
    made = Cluster(found["endpoint"], found["certificateAuthority"]["data"], *keys.values())
    asyncio.run(until_it_answers(made.connection()))
    return made


@pytest.fixture
def connection(cluster: Cluster) -> Connection:
    return cluster.connection()


@pytest.fixture
async def kubernetes(connection: Connection) -> AsyncIterator[Kubernetes]:
    async with Kubernetes(connection, request_seconds=60) as client:
        yield client


@pytest.fixture
async def namespace(kubernetes: Kubernetes) -> AsyncIterator[str]:
    """A namespace of this test alone."""
    name = f"test-{next(_names)}-{uuid.uuid4().hex[:6]}"
    await apply_namespace(kubernetes, name)
    yield name
    await kubernetes.delete(Ref("Namespace", "", name))


@pytest.fixture
def helm(helm_binary: Path, tmp_path: Path) -> Helm:
    return Helm(helm_binary, root=tmp_path, rules=Rules(allow_http=True, allow_private_addresses=True))


@pytest.fixture
def releases(helm: Helm, connection: Connection) -> Releases:
    return Releases(helm, connection)


APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, labels: {app: {{ .Release.Name }}}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      {{- with .Values.nodeSelector }}
      nodeSelector: {{ toJson . }}
      {{- end }}
      containers:
      - name: web
        image: {{ .Values.image | quote }}
        {{- with .Values.resources }}
        resources: {{ toJson . }}
        {{- end }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  type: {{ .Values.serviceType }}
  selector: {app: {{ .Release.Name }}}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}}
stringData: {password: {{ .Values.password | quote }}}
"""
VALUES = "replicas: 1\nimage: registry.example/web:1.0\nserviceType: ClusterIP\npassword: hunter2\n"
TEST = """
apiVersion: v1
kind: Pod
metadata: {name: {{ .Release.Name }}-test, annotations: {helm.sh/hook: test}}
spec:
  restartPolicy: Never
  containers: [{name: test, image: {{ .Values.testImage | default "registry.example/test:1" | quote }}}]
"""
HOOK = """
apiVersion: batch/v1
kind: Job
metadata: {name: {{ .Release.Name }}-migrate, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: {{ .Values.hookImage | quote }}}]
"""


MakeChart = Callable[..., Chart]


@pytest.fixture
def make_chart(tmp_path: Path) -> MakeChart:
    """Makes charts with a Deployment, a Service, a Secret and notes; `files` replace or add some (see `chart_of`)."""

    def make(**files: str) -> Chart:
        path = tmp_path / f"chart-{uuid.uuid4().hex[:8]}.tgz"
        own = {"values_yaml": VALUES, "templates__values_yaml": "", "templates__app_yaml": APP}
        own["templates__NOTES.txt"] = "Hello from {{ .Release.Name }}"
        path.write_bytes(chart_of(**(own | files)))
        return read_chart(path, "sha256:0", ChartLimits())

    return make


@pytest.fixture
def app(make_chart: MakeChart) -> Chart:
    """A chart with a Deployment, a Service, a Secret, notes and a test."""
    return make_chart(templates__test_yaml=TEST)


@pytest.fixture
def hooked(make_chart: MakeChart) -> Chart:
    """A chart whose hook runs `hookImage`."""
    return make_chart(templates__hook_yaml=HOOK)
