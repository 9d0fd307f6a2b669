"""What still exists in the account: a test that ends clean leaves nothing here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ministack.services import cloudwatch_logs, ec2, ecr, eks, iam, kms, ssm

from .cloudformation.model import STORE
from .ecr.records import registries
from .eks.records import fargate_profiles


def _of(store: Any, keep: Callable[[Any], bool] = lambda record: True) -> list[str]:
    """The keys of one of ministack's stores, over all accounts and regions."""
    return [str(key[-1]) for key, record in store._data.items() if keep(record)]


def leftovers() -> dict[str, list[str]]:
    """The ids of what stacks and clusters made and nobody took away, by type; {} when the account is clean.

    Not counted: the default VPC and what belongs to it, default security groups, service-linked roles,
    and KMS keys that wait for their deletion.
    """
    default_vpc = ec2._DEFAULT_VPC_ID

    def own(record: dict[str, Any]) -> bool:
        return bool(record.get("VpcId") != default_vpc)

    found: dict[str, Iterable[str]] = {
        "AWS::CloudFormation::Stack": [s.id for s in STORE.everywhere() if s.status != "DELETE_COMPLETE"],
        "AWS::EKS::Cluster": _of(eks._clusters),
        "AWS::EKS::Nodegroup": _of(eks._nodegroups),
        "AWS::EKS::Addon": _of(eks._addons),
        "AWS::EKS::FargateProfile": [f"{cluster}/{name}" for _, _, (cluster, name) in fargate_profiles._data],
        "AWS::EC2::VPC": _of(ec2._vpcs, lambda r: own(r) and not r.get("IsDefault")),
        "AWS::EC2::Subnet": _of(ec2._subnets, lambda r: own(r) and not r.get("DefaultForAz")),
        "AWS::EC2::NatGateway": _of(ec2._nat_gateways, lambda r: r["State"] != "deleted"),
        "AWS::EC2::EIP": _of(ec2._addresses),
        "AWS::EC2::InternetGateway": _of(
            ec2._internet_gateways, lambda r: all(own(a) for a in r.get("Attachments", []))
        ),
        "AWS::EC2::SecurityGroup": _of(ec2._security_groups, lambda r: r["GroupName"] != "default"),
        "AWS::EC2::LaunchTemplate": _of(ec2._launch_templates),
        "AWS::EC2::KeyPair": _of(ec2._key_pairs),
        "AWS::SSM::Parameter": [name for name in _of(ssm._parameters) if name.startswith("/ec2/keypair/")],
        "AWS::IAM::Role": _of(iam._roles, lambda r: not str(r.get("Path", "/")).startswith("/aws-service-role/")),
        "AWS::IAM::InstanceProfile": _of(iam._instance_profiles),
        "AWS::IAM::ManagedPolicy": [a for a in _of(iam._policies) if not a.startswith("arn:aws:iam::aws:")],
        "AWS::IAM::OIDCProvider": _of(iam._oidc_providers),
        "AWS::KMS::Key": _of(
            kms._keys, lambda r: r.get("KeyState") != "PendingDeletion" and r.get("KeyManager") != "AWS"
        ),
        "AWS::Logs::LogGroup": _of(cloudwatch_logs._log_groups),
        "AWS::ECR::Repository": _of(ecr._repositories),
        "AWS::ECR::PullThroughCacheRule": [p for found in registries._data.values() for p in found.cache_rules],
        "AWS::ECR::ReplicationConfiguration": [
            account for (account, _, _), found in registries._data.items() if found.replication["rules"]
        ],
    }
    return {type_: sorted(ids) for type_, ids in found.items() if ids}
