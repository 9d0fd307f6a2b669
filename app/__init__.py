"""Slipway: a REST service that builds and runs Amazon EKS clusters. ARCHITECTURE.md is the map."""
