"""Requests of clusters open the values of their releases."""

from unit.releases.conftest import scope

__all__ = ["scope"]
