"""Masks: a secret is found in every way of writing it, ordinary words stay, and one pass does it."""

import asyncio
import base64
import html
import itertools
import json
import subprocess
import sys
import textwrap
from urllib.parse import quote, quote_plus

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.core.secrets import REDACTED
from app.core.secrets.forms import named_spans, spans, without
from app.core.secrets.mask import Mask
from app.core.secrets.names import is_secret_name
from app.core.secrets.needles import needle_bytes
from app.core.secrets.scope import NoScopeError, Scope, current, entered
from app.core.secrets.words import is_common, is_wordlike

BREAKS = "\0\r\n\x0b\x0c\x1c\x1d\x1e\x85"
SECRETS = st.text(
    st.characters(exclude_categories=["Cs", "Cn", "Zl", "Zp"], exclude_characters=BREAKS), min_size=8, max_size=60
).filter(lambda text: text.strip() == text and not is_wordlike(text) and not is_common(text))
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0B\nAQEFAASCBKgwggSkAgEAAoIB\n-----END PRIVATE KEY-----\n"

WAYS = {
    "as it is": lambda text: text,
    "JSON": json.dumps,
    "JSON, not only ASCII": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "JSON in JSON in JSON": lambda text: json.dumps(json.dumps(json.dumps([text]))),
    "YAML": lambda text: yaml.safe_dump({"a": text}, width=float("inf")),
    "YAML, double": lambda text: yaml.safe_dump(text, default_style='"', width=float("inf")),
    "YAML, double, not only ASCII": lambda text: yaml.safe_dump(
        text, default_style='"', width=float("inf"), allow_unicode=True
    ),
    "shell": lambda text: "'" + text.replace("'", "'\\''") + "'",
    "query": lambda text: quote_plus(text),
    "part of a URL": lambda text: quote(text, safe=""),
    "HTML": html.escape,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 with the end of the line": lambda text: base64.b64encode(f"{text}\n".encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS)
@given(secret=SECRETS)
def test_no_way_of_writing_a_secret_is_shown(way: str, secret: str) -> None:
    written = WAYS[way](secret)
    shown = Mask([secret]).text(f"before {written} after")
    assert REDACTED in shown
    assert len(shown) < len(f"before {written} after") + len(REDACTED)
    if way in ("as it is", "base64"):
        assert secret not in shown
        assert shown.startswith("before ")
        assert shown.endswith(" after")


@given(st.lists(SECRETS, max_size=5), st.text(max_size=200))
def test_no_secret_stands_in_what_is_shown(secrets: list[str], text: str) -> None:
    hostile = "".join(f"{secret}{text}{secret[1:]}" for secret in secrets)
    shown = Mask(secrets).text(hostile)
    assert all(secret not in shown for secret in secrets if secret not in REDACTED)


def test_as_go_quotes() -> None:
    secret = 'p"a\\s<s>&\a\x7f\x01w\u00e9\u2028\U0001f600'
    go = r'"p\"a\\s<s>&\a\x7f\x01wé\u2028😀"'
    of_json = r'"p\"a\\s\u003cs\u003e\u0026\u0007' + "\x7f" + r'\u0001wé\u2028😀"'
    assert Mask([secret]).text(go) == f'"{REDACTED}"'
    assert Mask([secret]).text(of_json) == f'"{REDACTED}"'


def test_lines_of_a_key_that_is_indented_folded_or_cut() -> None:
    mask = Mask([PEM])
    lines = PEM.splitlines()[1:3]
    for text in (
        textwrap.indent(PEM, "    "),
        f"key: {lines[1]}",
        PEM.replace("\n", " "),
        f"> {lines[0]}\n> {lines[1]}",
    ):
        assert not any(line in mask.text(text) for line in lines), text
    twice = base64.b64encode(PEM.encode()).decode()
    assert twice[:40] not in mask.text(f"tls.key: {twice}")


def test_ordinary_words_stay_in_names() -> None:
    mask = Mask(["monkey", "zebra7", "letmein please"])
    assert mask.text("ov-monkeybars and monkeys in monkey-0 at monkey.svc:80, monkey/img:1") == (
        "ov-monkeybars and monkeys in monkey-0 at monkey.svc:80, monkey/img:1"
    )
    assert mask.text("the password is monkey.") == f"the password is {REDACTED}."
    assert mask.text('"monkey" zebra7') == f'"{REDACTED}" {REDACTED}'
    assert mask.value({"status": "monkey", "message": "monkey", "name": "zebra7"}) == {
        "status": "monkey",
        "message": REDACTED,
        "name": "zebra7",
    }
    assert Mask(["postgres", "admin", "true"]).text("user postgres, admin: true") == "user postgres, admin: true"
    assert Mask(["shop-release-1"], public=["shop-release-1"]).text("shop-release-1") == "shop-release-1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"key:\n{textwrap.indent(PEM, '    ')}end", "key:\n    (redacted)\nend"),
        ("-----BEGIN EC PRIVATE KEY-----\nabc", "(redacted)"),
        ("Authorization: Bearer abc123def456", "Authorization: Bearer (redacted)"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic (redacted)"),
        ("Basic authentication, Bearer authentication", "Basic authentication, Bearer authentication"),
        ("ghp_" + "a1B2" * 9, "(redacted)"),
        ("xoxb-1234567890-abcdef", "(redacted)"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "(redacted)"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("postgres://me:p@ss@db/x", "postgres://me:(redacted)@db/x"),
        ("ssh://git@example.com/x", "ssh://git@example.com/x"),
        ("https://hooks.slack.com/services/T/B/x", "https://hooks.slack.com/services/(redacted)"),
        ("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
         "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"),
    ],
)  # fmt: skip
def test_looks(text: str, shown: str) -> None:
    assert without(text, spans(text)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--db-password=abc --port=1", "--db-password=(redacted) --port=1"),
        ("--db-password abc --port 1", "--db-password (redacted) --port 1"),
        ("DB_PASSWORD=abc", "DB_PASSWORD=(redacted)"),
        ("user: a\npassword: a b c # why\nport: 1", "user: a\npassword: (redacted) # why\nport: 1"),
        ('{"a": 1, "token": "x\\"y", "b": 2}', '{"a": 1, "token": "(redacted)", "b": 2}'),
        ("existingSecret: name\npasswordKey: x", "existingSecret: name\npasswordKey: x"),
        ("password=$(PASSWORD) token=${TOKEN}", "password=$(PASSWORD) token=${TOKEN}"),
    ],
)
def test_what_stands_behind_a_name(text: str, shown: str) -> None:
    assert without(text, named_spans(text)) == shown


@pytest.mark.parametrize(
    "name", ["password", "rootPassword", "apiKey", "api_key", "authToken", "client-secret", "privateKey", "PGPASSWD"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["existingSecret", "secretName", "imagePullSecrets", "secretRef", "tokenPath", "automountServiceAccountToken",
     "replicas", "tokenExpirationSeconds", "passwordLength", "bypass", "monkey", "maxTokens", "secretKeyRef"],
)  # fmt: skip
def test_names_that_only_speak_of_one(name: str) -> None:
    assert not is_secret_name(name)


def test_nothing_is_opened_where_nothing_hides_it() -> None:
    with pytest.raises(NoScopeError):
        current()
    with entered(Scope()) as scope:
        current().add(["correct horse 1"])
    assert scope.text("a correct horse 1") == f"a {REDACTED}"
    with pytest.raises(NoScopeError):
        current()


async def test_documents_keep_their_form() -> None:
    scope = Scope()
    body = b'{"a": "correct horse 1", "b": [1, null, true, 1.5]}'
    assert not scope
    assert await scope.document(body) == body
    scope.add([])
    assert scope.text(f"a {PEM}") == f"a {REDACTED}\n"
    scope.add(["correct horse 1"])
    assert json.loads(await scope.document(body)) == {"a": REDACTED, "b": [1, None, True, 1.5]}
    long = json.dumps({"notes": "x correct horse 1 " * 50_000}).encode()
    assert b"horse" not in await scope.document(long)


def test_work_grows_with_the_text_alone() -> None:
    """A thousand secrets and hostile texts of 300 kB: as their product it would be hours."""
    program = textwrap.dedent("""
        import resource, sys
        resource.setrlimit(resource.RLIMIT_CPU, (40, 40))
        from app.core.secrets.forms import named_spans
        from app.core.secrets.mask import Mask
        mask = Mask(f"s3cret-{number:06d}-{'a' * (number % 50)}" for number in range(1000))
        parts = ["a", "-", "://", "Bearer ", "-----BEGIN PRIVATE KEY-----", "eyJ", "ghp_", "sk-", "a=", "password:",
                 "s3cret-000", "--password ", "kind: ", "\\\\\\"", "x:y@://", "[", " "]
        for part in parts:
            text = part * (300_000 // len(part))
            mask.text(text)
            named_spans(text)
    """)
    subprocess.run([sys.executable, "-c", program], check=True)


def worst(count: int, length: int = 64) -> list[str]:
    """Return secrets that are written differently wherever they stand, in more than a hundred bytes for each letter."""
    return [(str(number) + "<&é\n" * length)[:length] for number in range(count)]


def test_many_secrets_are_found_whichever_was_added_when() -> None:
    secrets = worst(300)
    mask = Mask(secrets)
    text = json.dumps([base64.b64encode(secret.encode()).decode() for secret in secrets] + secrets)
    shown = json.loads(mask.text(text))
    assert {one.rstrip("=") for one in shown} == {REDACTED}
    assert len(mask._anywhere or ()) > 4  # what the test is about: several automata find what one did


async def test_the_loop_turns_while_many_secrets_are_made_ready_for_a_short_answer() -> None:
    scope, turns = Scope(), 0
    scope.add(worst(100))

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await asyncio.sleep(0)
    before = turns
    assert await scope.document(b'{"a": "b"}') == b'{"a": "b"}'
    turning.cancel()
    assert turns > before  # on the loop it would not have turned once


def test_bytes_of_needles_are_counted_until_there_are_too_many() -> None:
    assert needle_bytes(["abcdefgh"], 1000) == len("abcdefgh") + len("YWJjZGVmZ2g") + len("YWJjZGVmZ2gK")
    assert 1000 < needle_bytes(itertools.cycle(worst(3)), 1000) < 20_000


def test_a_scope_that_is_still_empty_gets_what_is_opened_in_it() -> None:
    scope = Scope()
    with entered(scope):
        current().add(["registry.example/purple-monkey:1"])
    assert scope.text("pulls registry.example/purple-monkey:1") == f"pulls {REDACTED}"
