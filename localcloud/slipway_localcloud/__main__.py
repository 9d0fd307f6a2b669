"""`python -m slipway_localcloud`: `up` runs the local cloud in the foreground, `build` makes its Kubernetes."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from . import kubernetes, server
from .eks.calendar import InvalidDay
from .eks.catalog import CALENDAR


def main() -> None:
    """Reads the command line and runs the local cloud."""
    parser = argparse.ArgumentParser(prog="slipway_localcloud", description="AWS on this machine, as Slipway needs it.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run until SIGTERM; prints one JSON line when ready")
    up.add_argument("--port", type=int, default=4566, help="0 for any free one (default: %(default)s)")
    up.add_argument("--dir", type=Path, help="where logs go (default: a new temporary folder)")
    up.add_argument("--die-with-parent", action="store_true", help="end when the parent process ends (Linux)")
    up.add_argument(
        "--kubernetes",
        choices=kubernetes.MODES,
        default="auto",
        help="when a cluster's real control plane starts: at the first connection (lazy), with the cluster (eager), "
        "never (off); auto is lazy for clusters made when the programs are built or being built, else off",
    )
    up.add_argument("--day", help=f"the day that it is for EKS's support of versions (default: {CALENDAR.day})")
    commands.add_parser("build", help="compile the Kubernetes programs, once per user (about ten minutes)")
    arguments = parser.parse_args()
    if arguments.command == "build":
        build()
        return
    if arguments.day:
        try:
            CALENDAR.start(arguments.day)
        except InvalidDay as error:
            up.error(f"argument --day: {error}")
    if arguments.die_with_parent:
        server.die_with_parent()
    directory = arguments.dir or Path(tempfile.mkdtemp(prefix="slipway-localcloud-"))
    server.up(arguments.port, directory, arguments.kubernetes)


def build() -> None:
    """Builds the Kubernetes programs; progress goes to standard error, their folder to standard output."""
    from .kubernetes import binaries
    from .kubernetes.build import build as build_programs

    os.nice(10)  # a build goes on beside other work (tests, the demo), which comes first
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"Kubernetes: {time.monotonic() - started:4.0f} s  {line}", file=sys.stderr, flush=True)

    try:
        found = build_programs(say)
    except binaries.NoBinaries as error:
        sys.exit(str(error))
    print(found.folder)


if __name__ == "__main__":
    main()
