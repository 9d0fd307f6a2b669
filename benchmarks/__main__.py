"""`python -m benchmarks [name…]`: all measurements, or those named, one after the other."""

import argparse
import importlib
import sys

NAMES = (
    "startup", "listing", "registries", "calls", "delay", "waiting", "chaos", "releases", "release-chaos", "webhooks",
    "receivers", "streams", "charts", "hostile",
)  # fmt: skip


def main() -> int:
    """Run what was asked for; the exit code is 0 if every one found what it should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; none: all")
    parser.add_argument(
        "--postgres", action="store_true", help="both kinds of chaos: two replicas on PostgreSQL, not one on SQLite"
    )
    parser.add_argument(
        "--seed", type=int, default=None, help="both kinds of chaos: of the random moments; printed in any case"
    )
    parser.add_argument("--kills", type=int, default=50, help="both kinds of chaos: how often (default: %(default)s)")
    parser.add_argument("--charts", type=int, default=1000, help="charts: how many (default: %(default)s)")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    failed = [
        name
        for name in options.names or NAMES
        if not importlib.import_module(f"benchmarks.{name.replace('-', '_')}").run(options)
    ]
    if failed:
        print(f"Not right: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
