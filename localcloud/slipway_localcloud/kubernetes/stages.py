"""kwok's configuration: its own stages, and ours for what fails.

kwok takes the stages with a weight before those without, and its own have none: so a pod that one of
ours matches never meets kwok's `pod-ready` or `pod-complete`.
"""

from __future__ import annotations

from pathlib import Path

# RE2, on the whole image reference. No backslashes: they would have to be escaped for YAML, jq and Go alike.
PULL_FAILS = "(^|/)fail-pull[^/]*$|:missing$"
CRASHES = "(^|[/:-])crash([-:@][^/]*)?$"


def compose(own: str, region: str) -> str:
    """YAML documents: kwok's own stages, then ours."""
    ours = (Path(__file__).parent / "stages.yaml").read_text()
    for name, value in {"@PULL@": PULL_FAILS, "@CRASH@": CRASHES, "@REGION@": region}.items():
        ours = ours.replace(name, value)
    return f"{own.rstrip()}\n---\n{ours}"
