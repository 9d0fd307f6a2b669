"""The registry that `/metrics` shows; each package defines its own metrics on it."""

from prometheus_client import CollectorRegistry

REGISTRY = CollectorRegistry()
