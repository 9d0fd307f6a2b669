"""The ways in which a text may come back from templates, libraries and tools: escaped, quoted, encoded, cut into lines.

Each function returns what differs from the text itself; a text without anything to escape has few forms.
"""

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from app.core.secrets.words import is_wordlike

SHORTEST_LINE = 16
"""Characters of a line of words that is looked for by itself, as `indent` and `fold` leave it."""

SHORT = 512
"""Characters of a secret that is looked for in the rarer forms, too; a longer one would take too much memory."""

_SPECIAL = re.compile(r"[\"'\\\x00-\x1f\x7f<>&]")
_RESERVED = re.compile(r"[^A-Za-z0-9_.~-]")
_GO = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_GO_CONTROLS = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v", "\r": "\\r", "\n": "\\n", "\t": "\\t"}
_YAML_CONTROLS = _GO_CONTROLS | {
    "\x1b": "\\e",
    "\0": "\\0",
    "\x85": "\\N",
    "\xa0": "\\_",
    "\u2028": "\\L",
    "\u2029": "\\P",
}


def forms(secret: str) -> set[str]:
    """Return every way in which a secret is looked for, itself among them."""
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        found = {secret, _json(secret), json.dumps(secret)[1:-1], "\n".join(lines)}
        for line in lines:
            if not line.startswith("-----") and (len(line) >= SHORTEST_LINE or not is_wordlike(line)):
                found |= _written(line)
    else:
        found = _written(secret)
    if len(secret) <= SHORT:
        found |= _written(secret)
    for text in dict.fromkeys((secret, secret.strip(), f"{secret}\n")):
        found |= _base64(text.encode("utf-8", "surrogatepass"))
    found.discard("")
    return found


def _written(text: str) -> set[str]:
    if text.isalnum() and text.isascii():
        return {text}
    found = {text}
    if _SPECIAL.search(text) or not text.isascii():
        found |= set(_quoted(text))
    json_of = {_json(text), json.dumps(text)[1:-1], _json(text).translate(_GO)}
    found |= json_of
    for _ in range(2 if len(text) <= SHORT // 4 else 1):  # a log's line, or an annotation, that holds a text with JSON
        json_of = {_json(form) for form in json_of}
        found |= json_of
    return found | set(_encoded(text)) if _RESERVED.search(text) else found


def _quoted(text: str) -> Iterator[str]:
    """Yield what stands between the quotes of JSON (Python's, Go's), Go's %q, YAML (double, single), and a shell."""
    yield json.dumps(text)[1:-1]
    yield _json(text).translate(_GO)
    yield "".join(map(_go_q, text))
    yield "".join(map(_yaml_double, text))
    yield "".join(map(_yaml_code_or_ascii, text))
    yield "".join(
        character if "\xa0" <= character <= "\ufffd" else _yaml_code_or_ascii(character) for character in text
    )
    yield text.replace("'", "''")
    yield text.replace("'", "'\\''")
    yield text.replace("'", "'\"'\"'")
    yield text.replace('"', '\\"')
    yield text.replace("\n", "\\n")
    yield text.replace("\r\n", "\n")


def _encoded(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    for kept in ("", "/", "$&+=:@", "$&+,/:;=@", "$&+,;="):  # of a query, and as Go's net/url escapes other parts
        yield quote(data, safe=kept)
    yield quote_plus(data)
    yield quote(quote(data, safe=""), safe="")
    yield html.escape(text)
    yield html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")  # Go's
    yield html.escape(text, quote=False)


def _base64(data: bytes) -> set[str]:
    plain, url = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    found = {plain.rstrip("="), url.rstrip("=")}  # what pads them tells nothing
    if len(data) > SHORT:
        return found
    return found | {form.replace("=", "%3D").replace("/", "%2F").replace("+", "%2B") for form in found}


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _go_q(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character in _GO_CONTROLS:
        return _GO_CONTROLS[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _yaml_double(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character in _YAML_CONTROLS:
        return _YAML_CONTROLS[character]
    return character if character.isprintable() else _yaml_code(character)


def _yaml_code_or_ascii(character: str) -> str:
    return _yaml_double(character) if character < "\xa0" else _yaml_code(character)


def _yaml_code(character: str) -> str:
    if character in _YAML_CONTROLS:
        return _YAML_CONTROLS[character]
    code = ord(character)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
