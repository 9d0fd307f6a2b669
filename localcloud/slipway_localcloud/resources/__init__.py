"""Handlers of resource types: what CloudFormation calls to make, change and delete a resource."""

from __future__ import annotations

from .registry import TAGGED, Handler, Work, handler_of, known_types

__all__ = ["TAGGED", "Handler", "Work", "handler_of", "known_types"]
