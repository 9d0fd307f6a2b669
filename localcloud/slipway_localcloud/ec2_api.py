"""EC2 calls that ministack lacks, or answers with too little to choose instance types, keys and gateways by."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from ministack.core.responses import get_region
from ministack.services import ec2

from . import instances

Response = tuple[int, dict[str, str], bytes]
Fields = dict[str, list[str]]


def _items(items: list[str]) -> str:
    return "".join(f"<item>{item}</item>" for item in items)


def _answer(action: str, inner: str) -> Response:
    response: Response = ec2._xml(200, f"{action}Response", inner)
    return response


def _wanted(names: list[str], filters: dict[str, Any]) -> list[str]:
    """Names that an instance-type filter lets through; its values may have * and ?."""
    from fnmatch import fnmatchcase

    globs = filters.get("instance-type")
    return [name for name in names if not globs or any(fnmatchcase(name, glob) for glob in globs)]


def describe_instance_type_offerings(fields: Fields) -> Response:
    """DescribeInstanceTypeOfferings: every type is offered in every zone."""
    filters = ec2._parse_filters(fields)
    kind = (fields.get("LocationType") or ["region"])[0]
    region = get_region()
    places = [f"{region}{letter}" for letter in "abc"] if kind == "availability-zone" else [region]
    places = [place for place in places if place in (filters.get("location") or places)]
    rows = [
        f"<instanceType>{name}</instanceType><locationType>{kind}</locationType><location>{place}</location>"
        for name in _wanted(instances.all_names(), filters)
        for place in places
    ]
    return _answer(
        "DescribeInstanceTypeOfferings", f"<instanceTypeOfferingSet>{_items(rows)}</instanceTypeOfferingSet>"
    )


def describe_instance_types(fields: Fields) -> Response:
    """DescribeInstanceTypes, with real vCPUs, memory, architecture and GPUs."""
    asked = ec2._parse_member_list(fields, "InstanceType")
    unknown = [name for name in asked if instances.find(name) is None]
    if unknown:
        message = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        refusal: Response = ec2._error("InvalidInstanceType", message, 400)
        return refusal
    names = asked or _wanted(instances.all_names(), ec2._parse_filters(fields))
    rows = [_instance_type(found) for name in names if (found := instances.find(name))]
    return _answer("DescribeInstanceTypes", f"<instanceTypeSet>{_items(rows)}</instanceTypeSet>")


def _instance_type(found: instances.InstanceType) -> str:
    gpu = ""
    if found.family.gpu:
        gpu = "<gpuInfo><gpus><item><manufacturer>NVIDIA</manufacturer><count>1</count></item></gpus></gpuInfo>"
    burst = "true" if found.name.startswith("t") and not found.name.startswith("trn") else "false"
    return (
        f"<instanceType>{found.name}</instanceType><currentGeneration>true</currentGeneration>"
        f"<freeTierEligible>{'true' if found.name in ('t2.micro', 't3.micro') else 'false'}</freeTierEligible>"
        "<supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>"
        f"<bareMetal>{'true' if found.name.endswith('metal') else 'false'}</bareMetal><hypervisor>nitro</hypervisor>"
        f"<processorInfo><supportedArchitectures><item>{found.family.architecture}</item></supportedArchitectures>"
        f"</processorInfo><vCpuInfo><defaultVCpus>{found.vcpus}</defaultVCpus></vCpuInfo>"
        f"<memoryInfo><sizeInMiB>{found.memory_mib}</sizeInMiB></memoryInfo>{gpu}"
        "<networkInfo><maximumNetworkInterfaces>3</maximumNetworkInterfaces>"
        "<ipv4AddressesPerInterface>10</ipv4AddressesPerInterface><ipv6Supported>true</ipv6Supported></networkInfo>"
        f"<burstablePerformanceSupported>{burst}</burstablePerformanceSupported>"
    )


def describe_key_pairs(fields: Fields) -> Response:
    """DescribeKeyPairs, by name, id or filter, with type and tags."""
    names, ids = ec2._parse_member_list(fields, "KeyName"), ec2._parse_member_list(fields, "KeyPairId")
    filters = ec2._parse_filters(fields)
    for name in names:
        if name not in ec2._key_pairs:
            refusal: Response = ec2._error("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist", 400)
            return refusal
    rows = []
    for record in ec2._key_pairs.values():
        chosen = (not names or record["KeyName"] in names) and (not ids or record["KeyPairId"] in ids)
        if chosen and record["KeyName"] in (filters.get("key-name") or [record["KeyName"]]):
            rows.append(
                f"<keyName>{escape(record['KeyName'])}</keyName><keyPairId>{record['KeyPairId']}</keyPairId>"
                f"<keyFingerprint>{record['KeyFingerprint']}</keyFingerprint>"
                f"<keyType>{record.get('KeyType', 'rsa')}</keyType>{ec2._tag_set_xml(record['KeyPairId'])}"
            )
    return _answer("DescribeKeyPairs", f"<keySet>{_items(rows)}</keySet>")


def describe_nat_gateways(fields: Fields) -> Response:
    """DescribeNatGateways, with the addresses that the gateways hold."""
    status, headers, body = ec2._describe_nat_gateways(fields)
    text = body.decode()
    for gateway in ec2._nat_gateways.values():
        address = ec2._addresses.get(gateway["AllocationId"])
        if address:
            held = _items(
                [f"<publicIp>{address['PublicIp']}</publicIp><allocationId>{gateway['AllocationId']}</allocationId>"]
            )
            head, found, tail = text.partition(f"<natGatewayId>{gateway['NatGatewayId']}</natGatewayId>")
            tail = tail.replace("<natGatewayAddressSet/>", f"<natGatewayAddressSet>{held}</natGatewayAddressSet>", 1)
            text = head + found + tail
    return status, headers, text.encode()


def install() -> None:
    """Puts these in front of ministack's."""
    ec2._ACTION_MAP.update(
        DescribeInstanceTypeOfferings=describe_instance_type_offerings,
        DescribeInstanceTypes=describe_instance_types,
        DescribeKeyPairs=describe_key_pairs,
        DescribeNatGateways=describe_nat_gateways,
    )
