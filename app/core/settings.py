"""Settings: `SLIPWAY_*` variables. AWS itself is configured as for every SDK (profile, keys, role, endpoint)."""

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator can set; times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="SLIPWAY_", extra="ignore", frozen=True)

    database_url: str = Field(
        default_factory=lambda: f"sqlite:///{Path.home() / '.local' / 'share' / 'slipway' / 'slipway.db'}",
        description="sqlite:///… or postgresql://…",
    )
    admin_key: SecretStr | None = Field(
        default=None,
        description="The first admin key, sent as a bearer token; several, separated by commas, all count.",
    )
    admin_key_file: Path | None = Field(default=None, description="A file that holds it.")
    encryption_key: SecretStr | None = Field(
        default=None, description="Encrypts secrets at rest; several, separated by commas: the first one encrypts."
    )
    encryption_key_file: Path | None = Field(default=None, description="A file that holds it.")
    log_level: str = "INFO"
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)

    lease_seconds: float = Field(default=20.0, gt=0, description="How long a claim holds without being renewed.")
    tick_seconds: float = Field(default=1.0, gt=0, description="How often the engine looks without being woken.")
    max_inflight: int = Field(default=100, ge=1, description="Reconcile calls at once in one process.")
    max_running_per_region: int = Field(default=200, ge=1, description="Running operations of one account + region.")
    poll_min_seconds: float = Field(default=2.0, gt=0, description="Shortest time between two polls of CloudFormation.")
    poll_max_seconds: float = Field(default=30.0, gt=0)
    operation_retention_days: int = Field(default=90, ge=1)
    drain_seconds: float = Field(default=15.0, gt=0, description="How long SIGTERM waits for what is under way.")

    http_header_seconds: float = Field(default=10.0, gt=0, description="For the head of a request.")
    http_body_seconds: float = Field(default=60.0, gt=0, description="For the body of a request.")
    http_stall_seconds: float = Field(
        default=20.0, gt=0, description="Without a byte of a body, or of an answer taken."
    )
    http_keep_alive_seconds: float = Field(default=75.0, gt=0, description="Between two requests of a connection.")
    http_max_connections: int | None = Field(
        default=None, ge=1, description="Connections to one process; None: half of its descriptors, 4096 at most."
    )
    http_max_connections_per_address: int | None = Field(
        default=None, ge=0, description="Of one address; None: half of all, 0: as many as there may be."
    )
    http_max_requests: int = Field(default=200, ge=1, description="Requests answered at once, beside event streams.")
    http_trusted_proxies: str = Field(
        default="127.0.0.1", description="Addresses and networks whose X-Forwarded-* count, separated by commas."
    )
    max_streams: int = Field(default=2000, ge=1, description="Event streams of one process.")
    max_streams_per_key: int = Field(default=100, ge=1, description="Event streams of one key, of one process.")
    docs: bool = Field(default=True, description="Whether /docs and /openapi.json are there.")
    metrics: bool = Field(default=True, description="Whether /metrics is there.")

    heartbeat_seconds: float = Field(default=15.0, gt=0, description="How often an idle event stream says so.")
    webhook_timeout_seconds: float = Field(default=20.0, gt=0, description="How long one delivery may take.")
    webhook_max_inflight: int = Field(default=400, ge=1, description="Deliveries at once in one process.")
    webhook_max_per_endpoint: int = Field(default=8, ge=1, description="Deliveries at once to one endpoint.")

    helm: Path | None = Field(default=None, description="The helm 4 binary; else the one on PATH.")
    helm_max_changes: int = Field(default=20, ge=1, description="Helm processes that change releases, of one process.")
    helm_confinement: Literal["required", "preferred"] = Field(
        default="preferred",
        description="`required` refuses to fetch charts where the kernel cannot keep helm to its gate.",
    )
    helm_max_per_cluster: int = Field(default=10, ge=1, description="Of those, on one cluster.")

    allow_http: bool = False
    allow_private_addresses: bool = False

    @cached_property
    def is_sqlite(self) -> bool:
        """Tell whether state is kept in one SQLite file."""
        return self.database_url.startswith("sqlite")
