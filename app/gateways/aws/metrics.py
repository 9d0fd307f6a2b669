"""What the gateway counts."""

from prometheus_client import Counter

from app.core.metrics import REGISTRY

CALLS = Counter("slipway_aws_calls", "Calls to AWS.", ["operation", "outcome"], registry=REGISTRY)
"""`outcome` is `ok` or AWS's error code."""
