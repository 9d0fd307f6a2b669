"""Ports to the outside, each with typed errors: AWS, helm, the API servers of clusters."""
