"""What of helm's log becomes progress; the lines are helm's own."""

import pytest

from app.gateways.helm.progress import Progress, ProgressReader

WAITING = 'level=DEBUG msg="waiting for resource" namespace=shop name=carts kind=Deployment expectedStatus=Current'


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"{WAITING} actualStatus=InProgress", [Progress("waiting", "Deployment", "shop", "carts", "InProgress")]),
        (f"{WAITING} actualStatus=Unknown", []),
        (
            'level=DEBUG msg="starting delete resource" namespace=shop name=carts kind=Service',
            [Progress("deleted", "Service", "shop", "carts")],
        ),
        ('level=DEBUG msg="getting history for release" release=shop', []),
    ],
)
def test_lines_that_tell_something(line: str, told: list[Progress]) -> None:
    heard: list[Progress] = []
    assert ProgressReader(heard.append)(line)
    assert heard == told


def test_an_error_is_no_line_of_the_log() -> None:
    heard: list[Progress] = []
    assert not ProgressReader(heard.append)("Error: UPGRADE FAILED: context deadline exceeded")
    assert heard == []
