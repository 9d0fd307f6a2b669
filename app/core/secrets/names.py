"""What the name of a value tells: that it is secret, that all below it is, or only that it speaks of a secret.

A name is read by its words, and its last word counts: `rootPassword` is a password, `passwordUpdateJob` a job,
`passwordKey` the key of a Secret that holds one, `existingSecret` the name of a Secret.
"""

import re
from enum import IntEnum
from functools import lru_cache

from app.core.secrets.words import word_set

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class Secrecy(IntEnum):
    """What a name says of the value under it."""

    NONE = 0
    LEAF = 1
    """A text there, or in a list there, is secret; a map there has names of its own."""
    TREE = 2
    """So is all below it, but for what only configures it (`name`, `enabled`, `size`)."""


_TREE_WORDS = word_set(
    "password passwords passwd passphrase passphrases passcode passcodes pwd pwds pass pw secret secrets token "
    "tokens credential credentials creds psk jwt htpasswd pgpass bindpw otp pincode"
)
_TREE_ENDS = re.compile(
    r"(?:passw(?:or)?ds?|passphrases?|passcodes?|pwds?|secrets?|tokens?|credentials?|pgpass|userpass|dbpass|rootpass"
    r"|bindpw|userpw|rootpw|dbpw|adminpw|keypass|storepass)$"
)
_LEAF_WORDS = word_set("dsn cookie license licence authorization pat pats")
_LEAF_NAMES = re.compile(
    r"(?:^|-)(?:connection-string|basic-auth|slack-(?:api-)?ur[il]|webhook(?:-ur[il]s?)?|slackwebhook|x-honeycomb-team"
    r"|http-header-value|jdbc-url|key-pem|keypem|private-key-pem|license-key|root-token-id|dockercfg|seal-key|unseal-keys?)$"
)
_TREE_NAMES = re.compile(
    r"(?:^|-)(?:secure-json-data|dockerconfigjson|docker-config-json|object-storage-config|additional-scrape-configs)$"
)
_KEY_WORDS = frozenset({"key", "keys"})
_GLUED_KEY = re.compile(
    r"(?:api|master|auth|private|secret|access|encryption|signing|session|service|license|routing|fernet|account"
    r"|storage|shared|ssh|tls|ssl|rsa|deploy|integration|client|server|admin)keys?$"
)
_HARMLESS_KEYS = word_set(
    "password passwd pwd pass passphrase token tokens user username name login email existing topology label "
    "annotation public pub sort partition primary foreign object host config configuration configmap data map "
    "file path cache group hash shard index lookup order metadata node taint toleration selector env header "
    "cookie registry field property column row value values query param parameter hot short arrow credential "
    "credentials jwk dedup idempotency translation i18n url uri endpoint bucket folder zone region "
    "discovery reference ref id tag filter match"
)
"""Before `key`: what that key finds, in a Secret or elsewhere; it opens nothing."""
_OF_KUBERNETES = word_set(
    "existing pull tls cert certs certificate certificates ca image ssl external ref mounted ingress wildcard "
    "sealed extra optional kubernetes k8s target source additional issuer webhook "
    "vars var from config configuration env envs file files volume mounts"
)
"""Before `secret`: the name of an object of Kubernetes."""
_COUNTED = word_set("max min num number count total limit automount mount use enable enabled has is with")
_FILLERS = word_set(
    "value values text string plain plaintext raw base64 b64 encoded override current new old content hash bcrypt "
    "hashed"
)
_CONFIGURES = word_set(
    "name names key keys ref refs path paths mountpath mountpaths file files filename enabled enable create "
    "created type class kind algorithm size policy policies rotation ttl expiration expires expiry length "
    "annotation annotations label labels namespace namespaces host hostname port user username users login email "
    "region image tag repository schedule provider store optional mode readonly audience audiences issuer id ids "
    "engine version interval period role roles method encoding format description registry bucket database db "
    "resources command args job template templates selector finalizers restart lifecycle"
)
"""Words that end the names of what is no secret though it stands below one."""


@lru_cache(maxsize=8192)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, numbers at its end left out: `dbPassword2` is `db`, `password`."""
    words = [word.lower() for word in _WORD.findall(name[:200])]
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    return tuple(words)


@lru_cache(maxsize=8192)
def secrecy(name: str) -> Secrecy:
    """Return what a name says of the value under it."""
    words = list(words_of(name))
    joined = "-".join(words)
    if _TREE_NAMES.search(joined):
        return Secrecy.TREE
    if _LEAF_NAMES.search(joined):
        return Secrecy.LEAF
    while len(words) > 1 and words[-1] in _FILLERS:
        words.pop()
    if not words:
        return Secrecy.NONE
    *before, last = words
    if last in _KEY_WORDS or _GLUED_KEY.search(last):
        return Secrecy.LEAF if _opens(before, last) else Secrecy.NONE
    if last in _LEAF_WORDS:
        return Secrecy.NONE if _COUNTED.intersection(before) else Secrecy.LEAF
    if last in _TREE_WORDS or (_TREE_ENDS.search(last) and last not in ("bypass", "compass")):
        return Secrecy.NONE if _speaks_of(before, last) else Secrecy.TREE
    return Secrecy.NONE


def is_secret_name(name: str) -> bool:
    """Tell whether a text of that name is secret."""
    return secrecy(name) is not Secrecy.NONE


def configures(name: str) -> bool:
    """Tell whether a value of that name is none even below a secret name."""
    words = words_of(name)
    return bool(words) and words[-1] in _CONFIGURES


def is_key_within_secret(name: str, names: frozenset[str]) -> bool:
    """Tell whether `secretKey` is the key within the Secret that is named beside it, and no secret itself."""
    return name.lower() == "secretkey" and bool(names & {"secretname", "existingsecret", "secretref"})


def is_beside_certificate(name: str, names: frozenset[str], parent: str) -> bool:
    """Tell whether `key`, which says nothing by itself, is that of the certificate beside it.

    Args:
        name: Of the value.
        names: Those in the same map, in lower case.
        parent: The name of the map.
    """
    if name.lower() not in ("key", "keyfilecontent", "keydata", "keypem"):
        return False
    if names & {"cert", "crt", "certificate", "certpem", "crtpem", "tls.crt", "ca", "cacert", "pem"}:
        return True
    return bool({"tls", "ssl", "cert", "certs", "certificate"}.intersection(words_of(parent)))


def _opens(before: list[str], last: str) -> bool:
    """Tell whether a key opens something, and is not the place where something is found."""
    if not before:
        return last not in _KEY_WORDS
    if "existing" in before:
        return False
    nearest = before[-1]
    if nearest == "secret" and (last == "keys" or (len(before) > 1 and before[-2] in _HARMLESS_KEYS)):
        return False
    return nearest not in _HARMLESS_KEYS


def _speaks_of(before: list[str], last: str) -> bool:
    if _COUNTED.intersection(before[:1]) or _COUNTED.intersection(before[-1:]):
        return True
    return last.startswith("secret") and bool(
        {"existing", "pull"}.intersection(before) or (before[-1:] and before[-1] in _OF_KUBERNETES)
    )
