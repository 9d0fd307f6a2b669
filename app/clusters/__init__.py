"""Clusters: from a request to a stack, and back to status; which addons they want."""
