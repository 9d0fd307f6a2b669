"""State that is kept as a JSON object in a row: its owner declares the fields, and nobody else's are lost.

Several owners may share one object (an operation's `data`), and versions of Slipway that run side by side write the
same one. So a record writes the keys that it owns, one by one, and leaves all others as they are.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Record(BaseModel):
    """The base of what an owner keeps; a subclass has a field, with a default, for each key.

    Names and meanings of fields are for ever: an older version reads what this one writes. A field that holds an object
    or a list is written when it is assigned, not when it is changed in place.
    """

    model_config = ConfigDict(extra="allow")
    _document: dict[str, Any] | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return what a JSON object says; keys that are not known are kept for `as_json`."""
        return cls.model_validate(document)

    @classmethod
    def within(cls, document: dict[str, Any]) -> Self:
        """Return what a JSON object says; whatever field is assigned from then on is written into it."""
        record = cls.model_validate(document)
        record._document = document
        return record

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object: what was given or assigned, without defaults."""
        return self.model_dump(mode="json", exclude_unset=True)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in type(self).model_fields and self._document is not None:
            self._document.update(self.model_dump(mode="json", include={name}))
