"""Ports to the outside: AWS now, Kubernetes and Helm later; each with typed errors."""
