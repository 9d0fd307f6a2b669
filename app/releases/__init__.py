"""Helm releases: from a request to objects in a cluster, and back to status."""
