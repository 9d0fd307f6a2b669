"""Which URLs and addresses Slipway connects to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidError
from app.core.outbound import Destination, Rules, destination, is_public

STRICT = Rules()
LOOSE = Rules(allow_http=True, allow_private_addresses=True)


def code(url: str, rules: Rules = STRICT) -> str | None:
    try:
        destination(url, rules, pointer="/url")
    except InvalidError as error:
        return error.code if error.errors[0].pointer == "/url" else "elsewhere"
    return None


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://Example.COM", Destination("https", "example.com", 443, "/")),
        ("https://example.com.:8443/a%20b?c=d&e", Destination("https", "example.com", 8443, "/a%20b?c=d&e")),
        ("https://example.com?x", Destination("https", "example.com", 443, "/?x")),
        ("https://93.184.215.14/x", Destination("https", "93.184.215.14", 443, "/x")),
        ("https://1572394766/", Destination("https", "93.184.215.14", 443, "/")),
        ("https://[2606:2800:21f::1]:444/", Destination("https", "2606:2800:21f::1", 444, "/")),
        ("https://xn--bcher-kva.example/", Destination("https", "xn--bcher-kva.example", 443, "/")),
    ],
)
def test_what_can_be_called(url: str, parts: Destination) -> None:
    assert destination(url, STRICT) == parts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "example.com",
        "//example.com/",
        "https:example.com",
        "https:/example.com",
        "https:///path",
        "https://",
        "https://:443/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com\\@127.0.0.1/",
        "https://bücher.example/",
        "https://１２７.０.０.１/",
        "https://example.com/#x",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:x/",
        "https://-example.com/",
        "https://example..com/",
        "https://%31%32%37.0.0.1/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://256.1.1.1/",
        "https://1.2.3.4.5/",
        "https://example.0x/",
        "https://0x7g.1/",
        "https://" + "a" * 2048 + ".com/",
        "https://" + "a" * 64 + ".com/",
    ],
)
def test_what_is_no_url(url: str) -> None:
    assert code(url) == code(url, LOOSE) == "invalid_url"


@pytest.mark.parametrize("url", ["http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://x.y/"])
def test_other_schemes(url: str) -> None:
    assert code(url) == "url_scheme_not_allowed"


def test_http_where_it_is_allowed() -> None:
    assert destination("http://example.com/", Rules(allow_http=True)).port == 80
    assert code("ftp://example.com/", LOOSE) == "url_scheme_not_allowed"


@pytest.mark.parametrize("user", ["user", "user:password", ":password", "", "example.com"])
def test_credentials(user: str) -> None:
    assert code(f"https://{user}@example.com/", LOOSE) == "url_has_credentials"


LOOPBACK = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.1.",
    "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
]  # fmt: skip
PRIVATE = [
    "10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "192.0.2.1", "198.18.0.1", "[fc00::1]", "[fd12::1]",
    "[2001:db8::1]", "[::ffff:10.0.0.1]", "[100::1]", "[3fff::1]",
    "localhost", "printer", "x.local", "db.internal", "a.localhost", "router.home.arpa",
]  # fmt: skip
NOWHERE = [
    "0.0.0.0", "0", "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::]",
    "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]", "[ff02::1]", "224.0.0.1", "255.255.255.255",
    "240.0.0.1", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE, *NOWHERE])
def test_what_is_not_public(host: str) -> None:
    assert code(f"https://{host}/") == "address_not_allowed"


@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE])
def test_private_addresses_where_they_are_allowed(host: str) -> None:
    assert code(f"https://{host}/", LOOSE) is None


@pytest.mark.parametrize("host", NOWHERE)
def test_link_local_and_nobodys_addresses_are_never_allowed(host: str) -> None:
    assert code(f"https://{host}/", LOOSE) == "address_not_allowed"


@given(st.ip_addresses(v=4))
def test_no_way_of_writing_an_address_changes_the_answer(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = [str(address), str(number), hex(number), f"[::ffff:{address}]"]
    expected = None if is_public(address) else "address_not_allowed"
    assert [code(f"https://{form}/") for form in forms] == [expected] * 4


@given(st.ip_addresses(v=4))
def test_the_standard_library_agrees(address: ipaddress.IPv4Address) -> None:
    if is_public(address):
        assert address.is_global
        odd = (address.is_multicast, address.is_private, address.is_link_local, address.is_reserved)
        assert not any(odd)


@given(st.ip_addresses(v=6))
def test_the_standard_library_agrees_on_ipv6(address: ipaddress.IPv6Address) -> None:
    if is_public(address) and not address.ipv4_mapped and not address.sixtofour:
        odd = (address.is_multicast, address.is_private, address.is_link_local, address.is_loopback)
        assert not any(odd)


@given(st.text(max_size=60))
def test_any_text_is_refused_or_taken(url: str) -> None:
    for text in (url, f"https://{url}", f"https://{url}/"):
        assert code(text) in (
            None, "invalid_url", "url_scheme_not_allowed", "url_has_credentials", "address_not_allowed"
        )  # fmt: skip
