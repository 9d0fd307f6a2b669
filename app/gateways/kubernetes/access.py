"""How to reach what a release serves: services, ingresses, load balancers, and a port-forward line. Pure."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from app.gateways.kubernetes.objects import Json, Ref, elements, entries, mapping, metadata_of, number
from app.gateways.kubernetes.resources import Resource

LOCAL_PORT = 8080


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a service.

    Attributes:
        port: Its number.
        name: "" if it has none.
        protocol: `TCP`, `UDP` or `SCTP`.
        node_port: On every node, if it has one.
    """

    port: int
    name: str = ""
    protocol: str = "TCP"
    node_port: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceAccess:
    """How to reach a service.

    Attributes:
        name: Of the service.
        namespace: Of the service.
        type: `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
        cluster_host: Its name inside the cluster.
        ports: Its ports.
        addresses: Host names or addresses of its load balancer, once there is one.
        port_forward: The command that makes it reachable on one's own machine; "" for a service without pods.
    """

    name: str
    namespace: str
    type: str
    cluster_host: str
    ports: tuple[Port, ...]
    addresses: tuple[str, ...] = ()
    port_forward: str = ""


@dataclass(frozen=True, slots=True)
class IngressAccess:
    """How to reach what an ingress routes.

    Attributes:
        name: Of the ingress.
        namespace: Of the ingress.
        class_name: Of its controller; "" for the default one.
        urls: What to open: host (its own, else the load balancer's) and path of each rule.
        addresses: Host names or addresses of its load balancer, once there is one. Its hosts' DNS must point there.
        services: Names of the services behind it.
    """

    name: str
    namespace: str
    class_name: str
    urls: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach what a release serves; services that users see first come first."""

    services: tuple[ServiceAccess, ...] = ()
    ingresses: tuple[IngressAccess, ...] = ()

    @property
    def port_forward(self) -> str:
        """The command for the service that users most likely want; "" if there is none."""
        return next((service.port_forward for service in self.services if service.port_forward), "")


def access_of(resources: Iterable[Resource]) -> Access:
    """Return how to reach what a release serves.

    Args:
        resources: Its objects as they are now; those that aren't there are left out.
    """
    items = [(resource.ref, resource.item) for resource in resources if resource.item is not None]
    ingresses = [_ingress(ref, item) for ref, item in items if ref.kind == "Ingress"]
    services = [_service(ref, item) for ref, item in items if ref.kind == "Service" and ref.api_version == "v1"]
    routed = {(ingress.namespace, name) for ingress in ingresses for name in ingress.services}

    def rank(service: ServiceAccess) -> tuple[bool, bool, str]:
        behind = (service.namespace, service.name) in routed
        return service.type != "LoadBalancer", not behind, service.name

    return Access(tuple(sorted(services, key=rank)), tuple(ingresses))


def _service(ref: Ref, item: Json) -> ServiceAccess:
    spec = mapping(item.get("spec"))
    ports = tuple(_port(entry) for entry in entries(spec.get("ports")))
    type_ = str(spec.get("type") or "ClusterIP")
    forward = ""
    if ports and spec.get("selector") and type_ != "ExternalName":
        target = f"service/{ref.name} {LOCAL_PORT}:{ports[0].port}"
        forward = f"kubectl --namespace {shlex.quote(ref.namespace)} port-forward {target}"
    external = str(spec.get("externalName") or "")
    return ServiceAccess(
        name=ref.name,
        namespace=ref.namespace,
        type=type_,
        cluster_host=external or f"{ref.name}.{ref.namespace}.svc",
        ports=ports,
        addresses=_addresses(item),
        port_forward=forward,
    )


def _port(entry: Json) -> Port:
    node_port = entry.get("nodePort")
    return Port(
        port=number(entry.get("port")),
        name=str(entry.get("name") or ""),
        protocol=str(entry.get("protocol") or "TCP"),
        node_port=node_port if isinstance(node_port, int) else None,
    )


def _ingress(ref: Ref, item: Json) -> IngressAccess:
    spec = mapping(item.get("spec"))
    addresses = _addresses(item)
    encrypted = {str(host) for entry in entries(spec.get("tls")) for host in elements(entry.get("hosts"))}
    urls: list[str] = []
    services: list[str] = []
    for rule in entries(spec.get("rules")):
        host = str(rule.get("host") or "")
        scheme = "https" if host in encrypted else "http"
        for path in entries(mapping(rule.get("http")).get("paths")):
            services.append(_backend(path.get("backend")))
            urls += [f"{scheme}://{name}{path.get('path') or '/'}" for name in ([host] if host else addresses)]
    if "defaultBackend" in spec:
        services.append(_backend(spec["defaultBackend"]))
        urls += [f"http://{name}/" for name in addresses]
    annotations = mapping(metadata_of(item).get("annotations"))
    class_name = spec.get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or ""
    return IngressAccess(
        name=ref.name,
        namespace=ref.namespace,
        class_name=str(class_name),
        urls=tuple(dict.fromkeys(urls)),
        addresses=addresses,
        services=tuple(dict.fromkeys(name for name in services if name)),
    )


def _backend(backend: object) -> str:
    return str(mapping(mapping(backend).get("service")).get("name") or "")


def _addresses(item: Json) -> tuple[str, ...]:
    found = entries(mapping(mapping(item.get("status")).get("loadBalancer")).get("ingress"))
    return tuple(
        str(entry.get("hostname") or entry.get("ip")) for entry in found if entry.get("hostname") or entry.get("ip")
    )
