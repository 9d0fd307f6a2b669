"""Entity tags as RFC 9110 writes them."""

import pytest

from app.core.errors import MalformedError, PreconditionFailedError
from app.http.etag import EntityTags, check_match, etag


def test_strong_and_weak() -> None:
    tags = EntityTags(' "1" , W/"2","odd,\xe4" ')
    assert tags.has_strong(1)
    assert not tags.has_strong(2)
    assert tags.has_weak(1)
    assert tags.has_weak(2)
    assert not tags.has_weak(3)
    assert EntityTags(" * ").has_strong(99)


@pytest.mark.parametrize("header", ["", " ", ",", "3", '"3', '3"', 'w/"3"', '"1" "2"', '"a"b', "*, *", '""3'])
def test_malformed(header: str) -> None:
    with pytest.raises(MalformedError):
        EntityTags(header)


def test_check_match() -> None:
    check_match(None, 1)
    check_match(EntityTags(etag(1)), 1)
    with pytest.raises(PreconditionFailedError) as caught:
        check_match(EntityTags(etag(1)), 2)
    assert caught.value.facts == {"etag": '"2"'}
