"""The values of releases and of their revisions, encrypted as their rows keep them."""

import json
from typing import Any

from app.core.crypto import Place, UndecryptableError, Vault
from app.db.sealed import place
from app.releases.errors import ValuesLostError
from app.releases.models import Release, ReleaseRevision
from app.releases.secrets.opened import Opened
from app.releases.values import of_row


class SealedValues:
    """Encrypts values, each for the row that keeps it, and opens them."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def opened(self, release: Release, revision: ReleaseRevision | None = None) -> Opened:
        """Return the values of a release's spec, or of one of its revisions, secret ones too. Slow: use a thread.

        Raises:
            ValuesLostError: the key that encrypted them is gone.
        """
        made_of = revision or release
        return of_row(self.plain(made_of), made_of.spec, release.facts)

    def plain(self, made_of: Release | ReleaseRevision) -> dict[str, Any]:
        """Return the values that a row keeps.

        Raises:
            ValuesLostError: the key that encrypted them is gone.
        """
        try:
            values: dict[str, Any] = json.loads(self._vault.decrypt(made_of.sealed_values, _place_of(made_of)))
        except UndecryptableError as error:
            raise ValuesLostError(str(error), retry_after=300) from error
        return values

    def of_release(self, release_id: str, values: dict[str, Any]) -> str:
        """Return values, encrypted for a release's row."""
        return self._vault.encrypt(json.dumps(values), _of_release(release_id))

    def of_revision(self, made_of: Release | ReleaseRevision, release_id: str, revision: int) -> str:
        """Return the values of a release or revision, encrypted for another revision's row.

        Raises:
            ValuesLostError: the key that encrypted them is gone.
        """
        return self._vault.encrypt(json.dumps(self.plain(made_of)), _of_revision(release_id, revision))


def _place_of(made_of: Release | ReleaseRevision) -> Place:
    if isinstance(made_of, Release):
        return _of_release(made_of.id)
    return _of_revision(made_of.release_id, made_of.revision)


def _of_release(release_id: str) -> Place:
    return place(Release, "sealed_values", release_id)


def _of_revision(release_id: str, revision: int) -> Place:
    return place(ReleaseRevision, "sealed_values", release_id, revision)
