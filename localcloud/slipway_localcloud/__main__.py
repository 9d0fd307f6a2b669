"""`python -m slipway_localcloud up`: the local cloud in the foreground."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from . import server


def main() -> None:
    """Reads the command line and runs the local cloud."""
    parser = argparse.ArgumentParser(prog="slipway_localcloud", description="AWS on this machine, as Slipway needs it.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run until SIGTERM; prints one JSON line when ready")
    up.add_argument("--port", type=int, default=4566, help="0 for any free one (default: %(default)s)")
    up.add_argument("--dir", type=Path, help="where logs go (default: a new temporary folder)")
    up.add_argument("--die-with-parent", action="store_true", help="end when the parent process ends (Linux)")
    arguments = parser.parse_args()
    if arguments.die_with_parent:
        server.die_with_parent()
    server.up(arguments.port, arguments.dir or Path(tempfile.mkdtemp(prefix="slipway-localcloud-")))


if __name__ == "__main__":
    main()
