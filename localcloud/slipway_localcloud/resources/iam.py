"""AWS::IAM::OIDCProvider, which ministack's CloudFormation lacks (its IAM API has it)."""

from __future__ import annotations

from datetime import UTC, datetime

from ministack.core.responses import get_account_id
from ministack.services import iam

from ..errors import AwsError
from .registry import Attributes, Properties, Work


class OidcProvider:
    """An identity provider for the roles of service accounts. Ref is its ARN."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Registers the provider; there is one per URL and account."""
        url = properties.get("Url", "")
        if not url.startswith("https://"):
            raise AwsError("InvalidInput", "Invalid Open ID Connect Provider URL", service="Iam")
        host = url.removeprefix("https://").rstrip("/")
        arn = f"arn:aws:iam::{get_account_id()}:oidc-provider/{host}"
        if arn in iam._oidc_providers:
            raise AwsError("EntityAlreadyExists", f"Provider with url {url} already exists.", status=409, service="Iam")
        iam._oidc_providers[arn] = {"Arn": arn, "Url": host}
        self._apply(arn, properties)
        work.initiated(arn)
        await work.wait()
        return {"Arn": arn}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes client ids, thumbprints and tags."""
        await work.wait()
        self._apply(physical_id, new)
        return {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Removes the provider."""
        await work.wait()
        iam._oidc_providers.pop(physical_id, None)

    @staticmethod
    def _apply(arn: str, properties: Properties) -> None:
        record = iam._oidc_providers[arn]
        record["ClientIDList"] = properties.get("ClientIdList") or []
        record["ThumbprintList"] = properties.get("ThumbprintList") or []
        record["Tags"] = properties.get("Tags") or []
        record.setdefault("CreateDate", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


HANDLERS = {"AWS::IAM::OIDCProvider": OidcProvider()}
