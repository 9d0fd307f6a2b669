"""What is told of a helm that was stopped because its time was over."""

import pytest

from app.gateways.helm.classify import error_of
from app.gateways.helm.errors import WaitTimeout
from app.gateways.helm.process import Finished


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("", "helm did not end in time"),
        ("Error: UPGRADE FAILED: context canceled", "helm did not end in time"),
        ("Error: admission webhook says no", "helm did not end in time: admission webhook says no"),
    ],
)
def test_its_own_words_are_told_unless_they_are_of_the_stop(stderr: str, message: str) -> None:
    error = error_of(Finished(1, b"", False, stderr, expired=True), late=WaitTimeout)

    assert (type(error), error.message) == (WaitTimeout, message)
