"""Clusters and their addons: from a request to stacks, and back to status."""
