"""The seeds of `make fuzz`, and a fixed number of changes of each, end as their readers promise."""

import random
import zlib

import pytest
from fuzz import outcome
from mutation import mutated
from targets import TARGETS, seeds, words

CHANGES = 150
"""Of a target's seeds together; always the same ones."""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_ends_as_promised(target) -> None:
    known, vocabulary = seeds(target.name), words(target.name)
    assert known
    rng = random.Random(zlib.crc32(target.name.encode()))
    for content in [*known, *(mutated(rng.choice(known), vocabulary, rng) for _ in range(CHANGES))]:
        way, trace = outcome(target, content)
        assert trace is None, f"{way} for {content!r}\n{trace}"
