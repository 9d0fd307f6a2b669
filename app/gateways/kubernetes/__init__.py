"""A cluster's API server: objects, their readiness, why they are not ready, and how to reach what they serve.

Start at `client.py` (`Kubernetes`, one cluster). `resources.py` reads the objects of a manifest with their pods,
`diagnosis.py` says why something isn't ready, `diff.py` what a manifest would change, `namespaces.py` makes namespaces.
`readiness.py`, `access.py`, `objects.py` and `hints.py` are pure. kubernetes-asyncio takes seconds and 100 MB to
import: the first call does that, in a thread; importing this package does not.
"""
