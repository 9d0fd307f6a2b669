"""The bench of the engine's tests: a ledger on either database."""

from integration.engine.conftest import bench

__all__ = ["bench"]
