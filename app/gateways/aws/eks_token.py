"""Bearer tokens for the API servers of EKS clusters.

A token is a presigned GetCallerIdentity that names the cluster in a signed header; EKS sends it to STS and learns who
we are (aws-iam-authenticator, README, "API Authorization from Outside a Cluster"). Made without any call.
"""

from base64 import urlsafe_b64encode

TOKEN_LIFETIME = 60
"""Seconds in the signed URL. EKS takes a token for 15 minutes after it was signed, whatever stands here."""

RENEW_AFTER = 14 * 60
"""Seconds after which a holder should make a new one, as `aws eks get-token` tells kubectl."""


def eks_token(access_key: str, secret_key: str, session_token: str | None, cluster: str, region: str) -> str:
    """Return a bearer token for a cluster (`k8s-aws-v1.…`); about 0.1 ms, no I/O.

    The URL is always AWS's own, whatever endpoint the SDK is pointed at: the cluster checks its host.

    Args:
        access_key: Access key id of the principal that has access to the cluster.
        secret_key: Its secret.
        session_token: For temporary credentials.
        cluster: Name of the cluster.
        region: Region of the cluster.
    """
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    suffix = ".cn" if region.startswith("cn-") else ""
    url = f"https://sts.{region}.amazonaws.com{suffix}/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", url, headers={"x-k8s-aws-id": cluster})
    credentials = Credentials(access_key, secret_key, session_token)
    SigV4QueryAuth(credentials, "sts", region, expires=TOKEN_LIFETIME).add_auth(request)
    signed = str(request.url)
    return "k8s-aws-v1." + urlsafe_b64encode(signed.encode()).decode().rstrip("=")
