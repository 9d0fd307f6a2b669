"""The helm 4 binary, driven as a process: no shell, bounded, and every failure a typed error.

Start at `client.py` (`Helm`: charts and rendering, no cluster) and `releases.py` (`Releases`: the releases of one
cluster). `process.py` runs one process and ends it for certain; `workspace.py` gives it a private home, a kubeconfig
and a token that is renewed; `progress.py`, `classify.py` and `values_errors.py` read what helm says; `repair.py`
takes a release out of `pending-*` after its process was killed.

What was measured with helm 4.3.1: about 60 MB RSS and 0.15 CPU seconds for a call, a heap limit of 512 MiB ends a
template bomb within a second, and SIGTERM during a wait marks the release `failed`, so that the next upgrade works.
"""
