"""JSON pointers to the values that a chart's schema refuses, from the text that helm prints.

Helm's message is a tree by indentation, of which the leaves are what is wrong:

    shop:
    - at '/image': validation failed
      - at '/image/tag': got number, want string
"""

import re

from app.core.errors import FieldError

_PLACE = re.compile(r"^(?P<indent>\s*)- (?:at )?'(?P<pointer>[^']*)': (?P<detail>.+)$")
_CHART = re.compile(r"^(?P<chart>[\w.-]+):$")
_MOST = 100


def schema_errors(message: str, chart: str = "") -> tuple[FieldError, ...]:
    """Return each refused place of the values; at most 100.

    Args:
        message: What helm printed.
        chart: Name of the chart itself: what its subcharts refuse stands under their names in the values.
    """
    found: list[tuple[int, FieldError]] = []
    prefix = ""
    for line in message.splitlines():
        if match := _CHART.match(line):
            prefix = "" if match["chart"] == chart or not chart else f"/{match['chart']}"
        elif match := _PLACE.match(line):
            if found and len(match["indent"]) > found[-1][0]:
                found.pop()  # it only said that something below it is wrong
            found.append((len(match["indent"]), FieldError(prefix + match["pointer"], match["detail"].strip())))
        elif line.startswith("invalid type for values"):  # of a subchart
            found.append((0, FieldError(prefix, line)))
    return tuple(error for _, error in found[:_MOST])
