"""What callers send and see of credentials for chart repositories and registries."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.fields import Spec


def _host(host: str) -> str:
    if host != host.lower():
        raise ValueError("must be in lower case")
    return host


class ChartCredentialSpec(Spec):
    """What opens a chart repository or registry."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"host": "charts.example.com", "username": "ci", "password": "…"}]}
    )

    host: Annotated[
        str,
        AfterValidator(_host),
        Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$", max_length=260),
    ] = Field(description="With its port, if the URL of the charts has one.")
    username: str = Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x20\x7f-][^\x00-\x1f\x7f]*$")
    password: str = Field(min_length=1, max_length=8192, pattern=r"^[^\x00-\x1f\x7f]+$")


class ChartCredentialPatch(Spec):
    """What of a credential can be changed."""

    username: str = Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x20\x7f-][^\x00-\x1f\x7f]*$")
    password: str | None = Field(default=None, min_length=1, max_length=8192, pattern=r"^[^\x00-\x1f\x7f]+$")


class ChartCredentialOut(BaseModel):
    """A credential for a chart repository or registry; its password is never shown."""

    model_config = ConfigDict(
        title="ChartCredential",
        json_schema_extra={
            "examples": [
                {
                    "id": "cred_01jd3x8k7q2v5w9z4c6b8n0m1t",
                    "host": "charts.example.com",
                    "username": "ci",
                    "generation": 1,
                    "created_at": "2026-11-23T08:00:00Z",
                    "updated_at": "2026-11-23T08:00:00Z",
                }
            ]
        },
    )

    id: str
    host: str
    username: str
    generation: int
    created_at: datetime
    updated_at: datetime
