"""What is secret by its looks, in any text: private keys, tokens of well-known makers, passwords in URLs and headers.

`spans` finds those; `named_spans` also what stands behind a secret name within a text: `--db-password=…`,
`DB_PASSWORD=…`, `password: …`, `"password": "…"`.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

from app.core.secrets import REDACTED
from app.core.secrets.names import is_secret_name

Span = tuple[int, int]

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----)[\s\S])*+(?:-----END [A-Z0-9 ]{0,40}-----)?"
)
_TOKENS = re.compile(
    r"(?<![\w-])(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}|glpat-[\w-]{16,255}|xox[abeoprs]-[\w-]{10,255}"
    r"|xapp-[\w-]{10,255}|[srp]k_(?:live|test)_\w{10,255}|hv[sb]\.[\w-]{20,255}|npm_\w{30,255}|dop_v1_\w{40,255}"
    r"|SG\.[\w-]{16,80}\.[\w-]{16,80}|AIza[\w-]{30,60}|AGE-SECRET-KEY-1\w{20,100}|sk-[\w-]{20,255}|pypi-\w{30,255}"
    r"|eyJ[\w-]{5,4096}\.eyJ[\w-]{2,8192}\.[\w-]{5,4096})"
)
_WEBHOOK = re.compile(
    r"https://(?:hooks\.slack\.com/(?:services|workflows)/|(?:[a-z]+\.)?discord(?:app)?\.com/api/webhooks/"
    r"|[\w.-]+\.webhook\.office\.com/|outlook\.office(?:365)?\.com/webhook/|events\.pagerduty\.com/integration/"
    r"|chat\.googleapis\.com/v1/spaces/)(?P<secret>[^\s\"'<>]++)"
)
_USERINFO = re.compile(r"(?<=://)(?P<user>[^\s/?#\"'@:]{0,512}):(?P<secret>[^\s/?#\"']{1,1024})@(?=[^\s/?#\"'@])")
_HEADER = re.compile(r"\b(?P<scheme>Bearer|Basic|Splunk|bearer|basic) +(?P<secret>[A-Za-z0-9._~+/-]{6,8192}=*)")
_STARTS = ("PRIVATE KEY", "://", "earer ", "asic ", "plunk ", "gh", "glpat-", "xox", "xapp-", "k_live_", "k_test_",
           "hv", "npm_", "dop_v1_", "SG.", "AIza", "AGE-", "sk-", "pypi-", "eyJ")  # fmt: skip
_PAIR = re.compile(
    r"(?<![\w.-])(?P<name>-{0,2}[A-Za-z_][\w.-]{1,100})(?P<quote>\\?[\"']?)[ \t]{0,8}(?P<sign>[:=])[ \t]{0,8}"
    r"(?P<open>\\?[\"']?)"
)
_OPTION = re.compile(r"(?<!\S)--?(?P<name>[A-Za-z][\w.-]{1,100})[ \t]{1,8}(?P<open>[\"']?)(?![-=])")
_REFERENCE = re.compile(r"\$[({]|\{\{|\$[A-Za-z_]")
"""What stands for a value that comes from elsewhere."""


def spans(text: str) -> list[Span]:
    """Return the places of what is secret by its looks, in order; none overlaps another."""
    return merged(_by_looks(text)) if any(start in text for start in _STARTS) else []


def named_spans(text: str) -> list[Span]:
    """Return those of `spans`, and of what stands behind a secret name."""
    return merged([*spans(text), *_by_names(text)])


def merged(found: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that touch or overlap as one."""
    result: list[Span] = []
    for start, end in sorted(found):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif end > start:
            result.append((start, end))
    return result


def without(text: str, found: Iterable[Span]) -> str:
    """Return the text with each of the spans (in order) replaced by `(redacted)`."""
    parts: list[str] = []
    at = 0
    for start, end in found:
        parts += [text[at:start], REDACTED]
        at = end
    return "".join([*parts, text[at:]])


def is_name_of_option(text: str) -> bool:
    """Tell whether an argument is an option whose value, the next argument, is secret: `--db-password`."""
    return text.startswith("-") and "=" not in text and len(text) < 100 and is_secret_name(text)


def _by_looks(text: str) -> Iterator[Span]:
    for pattern in (_PEM, _TOKENS):
        yield from (match.span() for match in pattern.finditer(text))
    for match in _WEBHOOK.finditer(text):
        yield match.span("secret")
    for match in _USERINFO.finditer(text):
        if match["secret"] != REDACTED:
            yield match.span("secret")
    for match in _HEADER.finditer(text):
        if _is_header(match["scheme"].lower(), match["secret"]):
            yield match.span("secret")


def _is_header(scheme: str, secret: str) -> bool:
    """Tell a header's value from two words of a sentence: `Basic authentication`."""
    if scheme != "basic":
        return re.search(r"[0-9_~+/]", secret) is not None or len(secret) > 32
    try:
        return b":" in base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        return False


def _by_names(text: str) -> Iterator[Span]:
    for pattern in (_PAIR, _OPTION):
        at = 0
        while match := pattern.search(text, at):
            at = start = match.end()
            if is_secret_name(match["name"]) and not _REFERENCE.match(text, start):
                of_yaml = pattern is _PAIR and match["sign"] == ":" and not match["quote"]
                at = end = _end(text, start, match["open"], yaml=of_yaml)  # a value holds no further names
                if _is_value(text[start:end]):
                    yield start, end


def _end(text: str, start: int, quoted: str, *, yaml: bool) -> int:
    """Return where a value ends: at its quote, for YAML at the end of the line, else at a blank or a separator."""
    if quoted:
        at = start
        while (at := text.find(quoted, at)) >= 0:
            if quoted[0] == "\\" or text[at - 1] != "\\" or at == start:
                return at
            at += 1
        return len(text)
    stop = re.compile(r"[\r\n]|[ \t]#" if yaml else r"[\s,;&\"']").search(text, start)
    end = stop.start() if stop else len(text)
    return start + len(text[start:end].rstrip(" \t,}]" if yaml else ""))


def _is_value(value: str) -> bool:
    if value in ("", "|", ">", "|-", ">-", "|+", "null", "~", "true", "false", "{", "[", "{}", "[]", REDACTED):
        return False
    return not value.startswith(REDACTED)
