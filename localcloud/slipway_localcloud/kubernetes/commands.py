"""The command lines of a control plane's programs. Pure: no process is started here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .binaries import Binaries, module_version

# kube-apiserver emulates its own version and the three before it.
_EMULATED_BACK = 3
# The rest wants what isn't here: an IP range for each node, volumes to attach.
_CONTROLLERS = "*,-node-ipam-controller,-ttl-controller,-persistentvolume-attach-detach-controller"


@dataclass(frozen=True)
class Layout:
    """Where a plane's files and ports are."""

    binaries: Binaries
    folder: Path
    etcd_port: int
    peer_port: int
    kwok_port: int
    service_cidr: str
    pod_cidr: str

    def file(self, name: str) -> str:
        """A file in the plane's folder."""
        return str(self.folder / name)

    def program(self, name: str) -> str:
        """A program's path."""
        return str(self.binaries.program(name))


def emulated_version(version: str) -> str:
    """The version, of those that the programs can emulate, that comes closest to `version` ("1.34")."""
    newest = int(module_version("kubernetes", "k8s.io/kubernetes").split(".")[1])
    minor = int(version.split(".")[1])
    return f"1.{max(newest - _EMULATED_BACK, min(newest, minor))}"


def etcd(at: Layout) -> list[str]:
    """etcd, without waiting for the disk: what it holds ends with the local cloud."""
    client, peer = f"http://127.0.0.1:{at.etcd_port}", f"http://127.0.0.1:{at.peer_port}"
    return [
        at.program("etcd"), "--data-dir", at.file("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
        "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
    ]  # fmt: skip


def apiserver(at: Layout, port: int, version: str) -> list[str]:
    """kube-apiserver on `port`, as Kubernetes `version`."""
    return [
        at.program("kube-apiserver"),
        "--etcd-servers", f"http://127.0.0.1:{at.etcd_port}",
        "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", str(port),
        "--endpoint-reconciler-type", "none",
        "--tls-cert-file", at.file("server.crt"), "--tls-private-key-file", at.file("server.key"),
        "--client-ca-file", at.file("ca.crt"),
        "--service-account-issuer", "https://kubernetes.default.svc",
        "--service-account-key-file", at.file("sa.pub"), "--service-account-signing-key-file", at.file("sa.key"),
        "--service-cluster-ip-range", at.service_cidr,
        "--authorization-mode", "RBAC", "--allow-privileged", "--profiling=false",
        "--emulated-version", f"kube={emulated_version(version)}",
        "--authentication-token-webhook-config-file", at.file("webhook.json"),
        "--authentication-token-webhook-version", "v1",
        # How long a change of access entries may take to count.
        "--authentication-token-webhook-cache-ttl", "2s",
    ]  # fmt: skip


def controller_manager(at: Layout, version: str) -> list[str]:
    """kube-controller-manager; its default of 20 calls a second makes a chart of 15 services wait for seconds."""
    return [
        at.program("kube-controller-manager"), "--kubeconfig", at.file("kubeconfig.json"),
        "--leader-elect=false", "--secure-port", "0", "--profiling=false",
        "--service-account-private-key-file", at.file("sa.key"), "--root-ca-file", at.file("ca.crt"),
        "--controllers", _CONTROLLERS, "--emulated-version", f"kube={emulated_version(version)}",
        "--kube-api-qps", "200", "--kube-api-burst", "400",
    ]  # fmt: skip


def scheduler(at: Layout, version: str) -> list[str]:
    """kube-scheduler."""
    return [
        at.program("kube-scheduler"), "--kubeconfig", at.file("kubeconfig.json"),
        "--leader-elect=false", "--secure-port", "0", "--profiling=false",
        "--emulated-version", f"kube={emulated_version(version)}",
    ]  # fmt: skip


def kwok(at: Layout) -> list[str]:
    """kwok, which plays every node and the pods on it."""
    return [
        at.program("kwok"), "--kubeconfig", at.file("kubeconfig.json"), "--config", at.file("stages.yaml"),
        "--manage-all-nodes", "--node-lease-duration-seconds", "40", "--cidr", at.pod_cidr,
        "--server-address", f"127.0.0.1:{at.kwok_port}",
    ]  # fmt: skip


def kubeconfig(server: str, user: dict[str, Any], authority: str = "") -> str:
    """A kubeconfig (JSON) with one server and one user."""
    cluster = {"server": server, **({"certificate-authority": authority} if authority else {})}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "local", "user": user}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
            "current-context": "local",
        }
    )
