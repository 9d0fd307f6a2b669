"""How to reach a cluster's API server: what both gateways to it, and nobody else, need to know."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster's API server.

    Attributes:
        endpoint: `https://…` of the API server (EKS: DescribeCluster `endpoint`).
        certificate_authority: Its CA, PEM in base64 (EKS: `certificateAuthority.data`); "" for the system's CAs.
        token: Makes a bearer token; called again and again, since EKS takes one for 15 minutes only
            (`app/gateways/aws/eks.py`, `Eks.token`).
    """

    endpoint: str
    certificate_authority: str
    token: Callable[[], Awaitable[str]]
