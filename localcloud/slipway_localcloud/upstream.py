"""The one door to ministack: its settings, and an import that takes a third of the time.

ministack reads its settings from the environment at import time, so `configure` must run before
anything else of this package imports it. Its CloudFormation provisioners import fifty services, of
which EKS clusters need eight: the others are bound lazily, and loaded when something touches them.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-west-2"
ACCESS_KEY = "AKIALOCALSLIPWAYDEV0"
SECRET_KEY = "local-cloud-secret-of-no-use-elsewhere00"

# Services that every start touches: making these lazy would only move the cost.
_EAGER = {
    "cloudwatch_logs", "ec2", "ecr", "eks", "iam", "kms", "ssm", "sts", "tagging",
}  # fmt: skip
_PREFIX = "ministack.services."


class _LazyServices(importlib.abc.MetaPathFinder):
    """Finds `ministack.services.X` as usual, but loads it at the first access to one of its names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        service = name.removeprefix(_PREFIX)
        if not name.startswith(_PREFIX) or "." in service or service in _EAGER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None or spec.submodule_search_locations:
            return spec
        spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def configure(port: int, directory: str) -> None:
    """Sets what ministack reads from the environment. Call it once, before the first ministack import."""
    os.environ.update(
        AUTH="true",
        GATEWAY_PORT=str(port),
        BIND_HOST="127.0.0.1",
        MINISTACK_HOST="127.0.0.1",
        MINISTACK_REGION=REGION,
        MINISTACK_ACCOUNT_ID=ACCOUNT,
        PERSIST_STATE="0",
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        STATE_DIR=os.path.join(directory, "state"),
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "WARNING"),
        # Twelve-digit key ids have this secret too; see `auth`.
        AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        AWS_DEFAULT_REGION=REGION,
        AWS_REGION=REGION,
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        os.environ.pop(name, None)
    sys.meta_path.insert(0, _LazyServices())


def load() -> Any:
    """Imports ministack and returns its `app` module.

    Its CloudFormation package is entered without running its `__init__`: that would load the stack
    operations, which this project replaces as a whole, and with them half of the other services.
    """
    import ministack.app as app
    import ministack.services as services
    from ministack.core.responses import AccountRegionScopedDict

    package = ModuleType("ministack.services.cloudformation")
    package.__path__ = [os.path.join(services.__path__[0], "cloudformation")]
    for store in ("_stacks", "_stack_events", "_exports", "_change_sets"):
        setattr(package, store, AccountRegionScopedDict())
    sys.modules[package.__name__] = package
    services.cloudformation = package
    return app


def client_environment(port: int) -> dict[str, str]:
    """The variables that point an AWS SDK, and Slipway, at this local cloud."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "SLIPWAY_ALLOW_HTTP": "true",
        "SLIPWAY_ALLOW_PRIVATE_ADDRESSES": "true",
    }
