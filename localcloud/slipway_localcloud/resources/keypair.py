"""Key pairs. As on AWS, the private key of one that CloudFormation makes goes to SSM Parameter Store."""

from __future__ import annotations

import asyncio
import base64
import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from ministack.services import ec2, ssm

from ..errors import AwsError
from .ec2_network import hex_id, put_tags
from .registry import Attributes, Properties, Work
from .usage import refuse


def _generate(kind: str) -> tuple[str, str]:
    """A private key (OpenSSH or PKCS #1 PEM) and its fingerprint."""
    private: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if kind == "ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
        form = serialization.PrivateFormat.OpenSSH
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.PrivateFormat.TraditionalOpenSSL
    pem = private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem, _fingerprint(public, kind)


def _fingerprint(data: bytes, kind: str) -> str:
    if kind == "ed25519":
        return base64.b64encode(hashlib.sha256(data).digest()).decode()
    digest = hashlib.sha1(data).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def _parameter(key_pair_id: str) -> str:
    return f"/ec2/keypair/{key_pair_id}"


class KeyPair:
    """AWS::EC2::KeyPair. Ref is the name."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Imports the public key that the template has, or makes a pair and stores its private half."""
        name = properties["KeyName"]
        if name in ec2._key_pairs:
            raise refuse("InvalidKeyPair.Duplicate", f"The key pair '{name}' already exists")
        material, pem, fingerprint = await self._material(properties)
        key_pair_id = hex_id("key")
        ec2._key_pairs[name] = record = {
            "KeyName": name, "KeyPairId": key_pair_id, "KeyFingerprint": fingerprint,
            "KeyType": properties.get("KeyType", "rsa"),
        }  # fmt: skip
        put_tags(key_pair_id, properties)
        if not material:
            status, _, body = ssm._put_parameter(
                {"Name": _parameter(key_pair_id), "Type": "SecureString", "Value": pem}
            )
            if status >= 400:
                raise AwsError("InvalidRequest", body.decode(), service="Ssm")
        work.initiated(name)
        await work.wait()
        return {"KeyPairId": key_pair_id, "KeyFingerprint": record["KeyFingerprint"]}

    @staticmethod
    async def _material(properties: Properties) -> tuple[str, str, str]:
        """The public key of the template, the private one made in its place, and the fingerprint.

        Made before the pair is noted: a stack that is deleted meanwhile must leave nothing behind.
        """
        material = properties.get("PublicKeyMaterial") or ""
        if not material:
            return "", *await asyncio.to_thread(_generate, properties.get("KeyType", "rsa"))
        if len(material.split()) < 2:
            raise refuse("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
        return material, "", _fingerprint(material.encode(), "rsa")

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Only the stack's tags come here; all else replaces the pair."""
        await work.wait()
        put_tags(ec2._key_pairs[physical_id]["KeyPairId"], new)
        return {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the pair and the parameter that holds its private key."""
        await work.wait()
        record = ec2._key_pairs.pop(physical_id, None)
        if record:
            ec2._tags.pop(record["KeyPairId"], None)
            ssm._parameters.pop(_parameter(record["KeyPairId"]), None)


HANDLERS = {"AWS::EC2::KeyPair": KeyPair()}
