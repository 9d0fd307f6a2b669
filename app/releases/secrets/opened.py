"""The values of a release as they are handed around: opened into the scope that hides them, shown only redacted."""

from collections.abc import Iterable
from typing import Any

from app.core.errors import FieldError
from app.core.secrets import REDACTED
from app.core.secrets.forms import merged, named_spans, without
from app.core.secrets.mask import Mask
from app.core.secrets.needles import needle_bytes
from app.core.secrets.scope import current
from app.releases.errors import RedactedValueError, TooManySecretsError
from app.releases.references import names_in
from app.releases.secrets.places import NO_PLACES, Place, Places
from app.releases.secrets.restore import bared, holds_marker, restored
from app.releases.secrets.walk import At, secrets_in, walked

MOST_SECRETS = 1000
"""Secret values that one release may have."""
MOST_SECRET_CHARACTERS = 64 * 1024
"""Of them together."""
MOST_NEEDLE_BYTES = 2 * 1024 * 1024
"""Of all ways of writing them together, which is what hiding them costs: some ten bytes of memory for each, and of all
about a second of a thread's time."""

Values = dict[str, Any]


class Opened:
    """Values of a release, secret ones too; whatever is said meanwhile is hidden by the scope that they are opened in.

    Attributes:
        values: As helm takes them.
        known: Places that are secret whatever their names, but for those that the caller named.
        secrets: The secret texts in them.

    Args:
        values: Likewise.
        known: Likewise.
        named: Places that the caller named (`secret_values`).
        public: What may be seen though it equals a secret; so may the names that references hold.

    Raises:
        NoScopeError: nothing would hide them.
    """

    def __init__(
        self, values: Values, *, known: Places = NO_PLACES, named: Iterable[Place] = (), public: Iterable[str] = ()
    ) -> None:
        self.values = values
        self.named = tuple(named)
        self.public = (*public, *names_in(values))
        self.known = NO_PLACES
        self.learn(known.all)

    def __repr__(self) -> str:
        return f"Opened({len(self.values)} values)"

    def learn(self, places: Iterable[Place]) -> None:
        """Take note of more places that are secret, and hide what stands there from now on."""
        self.known = self.known.with_more(places)
        self._places = Places([*self.named, *self.known.all])
        self.secrets = secrets_in(self.values, self._places)
        self._shown: Values | None = None
        current().add(self.secrets, public=self.public)

    def shown(self) -> Values:
        """Return what callers see: `(redacted)` for each secret, wherever it stands. Slow at first: use a thread."""
        if self._shown is None:
            mask = Mask(self.secrets, public=self.public)

            def hide(value: Any, _at: At, secret: bool) -> Any:
                if secret:
                    return REDACTED
                if not isinstance(value, str):
                    return mask.value(value)
                return without(value, merged([*named_spans(value), *mask.spans(value, name="values")]))

            self._shown = walked(self.values, self._places, hide)
        return self._shown

    def sent_back(self, before: "Opened | None", pointer: str) -> "Opened":
        """Return these values with each `(redacted)` replaced by what it stood for.

        Args:
            before: What is stored now; None for nothing.
            pointer: Where these stand in the request.

        Raises:
            RedactedValueError: one stands for nothing, for what cannot be told, or would be shown where it stands.
        """
        if not holds_marker(self.values):
            return self
        lost: list[FieldError] = []
        shown, stored = (before.shown(), before.values) if before else ({}, {})
        whole = self.with_values(restored(self.values, shown, stored, pointer, lost))
        lost = lost or bared(self.values, whole.shown(), pointer)
        if lost:
            raise RedactedValueError(f"{REDACTED} stands for no value here.", lost)
        return whole

    def with_values(self, values: Values, *, public: Iterable[str] = ()) -> "Opened":
        """Return others in their place, of which the same is known."""
        return Opened(values, known=self.known, named=self.named, public=[*self.public, *public])

    def check_bounds(self, pointer: str) -> None:
        """Refuse more secrets than can be hidden quickly. Slow with many: use a thread.

        Raises:
            TooManySecretsError: there are.
        """
        count, characters = len(self.secrets), sum(map(len, self.secrets))
        if count > MOST_SECRETS or characters > MOST_SECRET_CHARACTERS:
            detail = (
                f"{count} secret values of {characters} characters; a release may have {MOST_SECRETS} of "
                f"{MOST_SECRET_CHARACTERS} together"
            )
            raise TooManySecretsError(f"The values hold too many secrets: {detail}.", [FieldError(pointer, detail)])
        check_needles(self.secrets, pointer)


def check_needles(secrets: Iterable[str], pointer: str) -> None:
    """Refuse secrets that are looked for in too many ways, such as long ones of quotes and line breaks.

    Raises:
        TooManySecretsError: there are.
    """
    if needle_bytes(secrets, MOST_NEEDLE_BYTES) > MOST_NEEDLE_BYTES:
        detail = (
            f"the secret values take more than {MOST_NEEDLE_BYTES} bytes in all ways of writing them (escaped, quoted, "
            "encoded); let values refer to fewer or shorter ones, or split the release"
        )
        raise TooManySecretsError(f"The values hold too many secrets: {detail}.", [FieldError(pointer, detail)])
