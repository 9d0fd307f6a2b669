"""Where Slipway may connect to by a caller's word: webhooks, callbacks, chart repositories. Rules only; no network.

By default HTTPS and public addresses only. `destination` checks what can be seen in a URL; names are checked by their
addresses, by whoever connects, in the moment they connect, and it is the checked address that they connect to.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from app.core.errors import FieldError, InvalidError
from app.core.settings import Settings

LONGEST = 2048
"""Characters of a URL."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"https": 443, "http": 80}
_PORT_RANGE = range(1, 65536)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_UNSAFE = set('\\"<>^`{|}')
_LOCAL_SUFFIXES = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "corp", "home")

_NEVER = [
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8",  # this host
        "169.254.0.0/16",  # link-local; clouds answer with credentials there
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fec0::/10",
        "fd00:ec2::/32",  # AWS's metadata, resolver and clock over IPv6
        "ff00::/8",
    )
]
"""No receiver is there, neither in development."""

_SPECIAL_IPV4 = [
    ipaddress.ip_network(block)
    for block in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
    )
]
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_SPECIAL_IPV6 = [ipaddress.ip_network(block) for block in ("2001::/23", "2001:db8::/32", "3fff::/20")]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class InvalidUrlError(InvalidError):
    """It is no absolute URL of a host, in ASCII."""

    code = "invalid_url"
    title = "Not a URL that can be called"


class SchemeNotAllowedError(InvalidError):
    """Only HTTPS, and HTTP where the operator allows it."""

    code = "url_scheme_not_allowed"
    title = "The URL's scheme is not allowed"


class CredentialsInUrlError(InvalidError):
    """User names and passwords do not belong into a URL."""

    code = "url_has_credentials"
    title = "The URL holds credentials"


class AddressNotAllowedError(InvalidError):
    """The URL names a host that is not on the public internet."""

    code = "address_not_allowed"
    title = "The URL's address is not public"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows beyond the default."""

    allow_http: bool = False
    allow_private_addresses: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """Return what the settings allow."""
        return cls(settings.allow_http, settings.allow_private_addresses)

    def allows(self, address: Address) -> bool:
        """Tell whether a connection to `address` is allowed."""
        if _is_never(address):
            return False
        return self.allow_private_addresses or is_public(address)


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL taken apart once; whoever connects uses these parts and never parses the URL again.

    Attributes:
        scheme: `https` or `http`.
        host: A name in lower case without a final dot, or an address in its usual form.
        port: 1 to 65535.
        target: Path and query as they are sent.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Return scheme, host and port: what shares a server."""
        return f"{self.scheme}://{self.host}:{self.port}"


def is_public(address: Address) -> bool:
    """Tell whether an address is on the public internet; one that holds another one is judged by that, too."""
    if isinstance(address, ipaddress.IPv4Address):
        return not _is_never(address) and not any(address in block for block in _SPECIAL_IPV4)
    inner = _embedded(address)
    if inner is not None and not is_public(inner):
        return False
    if address.ipv4_mapped or address in _NAT64:
        return True
    return address in _GLOBAL_UNICAST and not any(address in block for block in _SPECIAL_IPV6)


def _is_never(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None and _is_never(inner):
            return True
    return any(address.version == block.version and address in block for block in _NEVER)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that packets to this address would reach: mapped, NAT64, 6to4, compatible."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def destination(url: str, rules: Rules, *, pointer: str = "") -> Destination:
    """Take a URL apart and check what can be seen in it.

    Args:
        url: What a caller sent.
        rules: What is allowed.
        pointer: Where it stands in the request.

    Raises:
        InvalidUrlError: it is none.
        SchemeNotAllowedError: not HTTPS.
        CredentialsInUrlError: it holds a user name or a password.
        AddressNotAllowedError: its host is an address, in whatever form, or a name, that is not public.
    """
    parts = _split(url, pointer)
    if parts.scheme not in (("https", "http") if rules.allow_http else ("https",)):
        detail = "must begin with https://"
        raise SchemeNotAllowedError(f"The URL {detail}.", [FieldError(pointer, detail)])
    if "@" in parts.netloc:
        raise CredentialsInUrlError("The URL holds credentials.", [FieldError(pointer, "must not hold credentials")])
    host, port = _host_and_port(parts, pointer)
    name, address = _name_or_address(host, bracketed="[" in parts.netloc, pointer=pointer)
    if not (_allowed_name(name, rules) if address is None else rules.allows(address)):
        detail = f"{name!r} is not a public address"
        raise AddressNotAllowedError(f"The URL's host {detail}.", [FieldError(pointer, detail)])
    query = f"?{parts.query}" if parts.query else ""
    return Destination(parts.scheme, name, port, (parts.path or "/") + query)


def address_of(host: str) -> Address | None:
    """Return the address that a `Destination.host` is, or None when it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _split(url: str, pointer: str) -> SplitResult:
    if len(url) > LONGEST:
        raise _invalid(f"must have at most {LONGEST} characters", pointer)
    if not all("!" <= character <= "~" for character in url) or _UNSAFE & set(url):
        raise _invalid("must be visible ASCII, other characters percent-encoded and names in their xn-- form", pointer)
    if "#" in url:
        raise _invalid("must not have a fragment", pointer)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _invalid("is not a URL", pointer) from None
    if not parts.scheme or not url[len(parts.scheme) :].startswith("://"):
        raise _invalid("must be an absolute URL: https://host/path", pointer)
    return parts


def _host_and_port(parts: SplitResult, pointer: str) -> tuple[str, int]:
    try:
        port = parts.port
    except ValueError:
        raise _invalid("has a port that is none", pointer) from None
    port = _PORTS[parts.scheme] if port is None else port
    if not parts.hostname or port not in _PORT_RANGE:
        raise _invalid("has no host" if not parts.hostname else "has a port that is none", pointer)
    return parts.hostname, port


def _name_or_address(host: str, *, bracketed: bool, pointer: str) -> tuple[str, Address | None]:
    if bracketed:
        try:
            if "%" in host:
                raise ValueError("a zone")
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise _invalid("has a host that is no IPv6 address", pointer) from None
        return str(address), address
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(".".join(labels), pointer)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _invalid("has a host that is no name", pointer)
    return ".".join(labels), None


def _ipv4(host: str, pointer: str) -> tuple[str, Address]:
    """Read an IPv4 address as every C library does: `127.1`, `2130706433`, `0177.0.0.1`, `0x7f.0.0.1`."""
    try:
        if not all(_NUMBER.fullmatch(part) for part in host.split(".")):
            raise OSError("a name that ends in a number")
        address = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        raise _invalid("has a host that is no IPv4 address", pointer) from None
    return str(address), address


def _allowed_name(name: str, rules: Rules) -> bool:
    if rules.allow_private_addresses:
        return True
    return "." in name and not any(name == suffix or name.endswith(f".{suffix}") for suffix in _LOCAL_SUFFIXES)


def _invalid(detail: str, pointer: str) -> InvalidUrlError:
    return InvalidUrlError(f"The URL {detail}.", [FieldError(pointer, detail)])
