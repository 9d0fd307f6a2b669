"""The demo: the whole story on the local cloud, told in the terminal; what `make demo` runs.

It is a client of Slipway like any other. What it may know and the service may not: that the cloud is a local one.

Environment, for tests: `SLIPWAY_DEMO_DIR` (where its files go; default `.demo` in the checkout), `SLIPWAY_DEMO_PACE`
(factor of the local cloud's delays; default 1), `SLIPWAY_DEMO_RULES` (JSON list of rules of the local cloud that come
before the demo's own: a way to see what a broken step looks like), `SLIPWAY_DEMO_CHAPTERS` (how many chapters a demo
with `keep` tells before it is yours; default all).
"""

import sys


def main(*, keep: bool = False) -> None:
    """Run the demo and exit: 0 if every step was what it should be, 1 if one was not, 130 if it was interrupted.

    Args:
        keep: Leave the cluster and both processes, and say what to try next.
    """
    from app.demo.run import run

    sys.exit(run(keep=keep))


def stop() -> None:
    """Stop what a demo with `keep` left running."""
    from app.demo.run import stop_kept

    sys.exit(stop_kept())
