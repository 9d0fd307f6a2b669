"""Managed node groups: from a request to stacks, and back to status."""
