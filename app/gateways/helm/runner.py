"""Starts helm processes: which binary, how many at once, and what a failed one raises."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from app.gateways.helm import binary, confinement
from app.gateways.helm.classify import error_of
from app.gateways.helm.confine import UNCONFINED
from app.gateways.helm.errors import BinaryUnusable, HelmError, Unconfined, WaitTimeout
from app.gateways.helm.gate import Gate
from app.gateways.helm.process import Finished, Limits, run
from app.gateways.helm.progress import Progress, ProgressReader
from app.gateways.helm.workspace import Workspace

VERSION_SECONDS = 20.0
_UNCONFINED = "this kernel can't keep helm from connecting past its gate"


class Runner:
    """All helm processes of this process; belongs to one event loop.

    Changes wait for objects to become ready, so reads have places of their own and never queue behind them. A helm
    takes about 60 MB (18 MB of its own when 20 run), and at most `Limits.memory_bytes` more.
    """

    def __init__(
        self,
        configured: Path | None = None,
        *,
        limits: Limits | None = None,
        max_changes: int = 20,
        max_reads: int = 4,
        confined: confinement.Mode = "preferred",
    ) -> None:
        self.limits = limits or Limits()
        self._configured = configured
        self._confined = confined
        self._changes = asyncio.Semaphore(max_changes)
        self._reads = asyncio.Semaphore(max_reads)
        self._finding = asyncio.Lock()
        self._found: Path | None = None
        self._version = (0, 0, 0)

    async def version(self) -> tuple[int, int, int]:
        """Return helm's version, (4, 3, 1).

        Raises:
            BinaryUnusable: There is none that can be used.
        """
        await self.binary()
        return self._version

    async def binary(self) -> Path:
        """Return the binary; the first call finds it and checks its version.

        Raises:
            BinaryUnusable: There is none that can be used.
        """
        async with self._finding:
            if self._found is None:
                path = await asyncio.to_thread(binary.locate, self._configured)
                self._version = await self._version_of(path)
                self._found = path
        return self._found

    async def call(
        self,
        arguments: Sequence[str],
        *,
        workspace: Workspace,
        stdin: bytes = b"",
        deadline_seconds: float,
        change: bool = False,
        tell: Callable[[Progress], None] | None = None,
        gate: Gate | None = None,
        ports: Collection[int] | None = None,
    ) -> Finished:
        """Run helm and return how it ended, whatever that was.

        Args:
            arguments: After `helm`. They can be read by every user of the machine: nothing secret.
            workspace: Its home.
            stdin: What it reads; values go here.
            deadline_seconds: After this it is stopped; counted from its start, not while it waits for its turn.
            change: Whether it changes a release; then it logs, and `tell` hears of its progress.
            tell: Called on this event loop.
            gate: The way out of a process that fetches; None for those that talk to a cluster, or to nobody.
            ports: What it may connect to by TCP, as far as the kernel can see to it; None for anything.

        Raises:
            BinaryUnusable: There is none that can be used.
            Unconfined: It fetches, has to be confined to `ports`, and can't be.
            CancelledError: The caller was cancelled; the process is dead by then.
        """
        program = await self.binary()
        mode: confinement.Mode = self._confined if gate is not None else "preferred"
        if ports is not None and mode == "required" and confinement.problem():
            raise Unconfined(_UNCONFINED)
        before = () if ports is None else confinement.chain(mode, ports)
        async with self._changes if change else self._reads:
            finished = await run(
                [*before, str(program), *arguments, *(["--debug"] if change else [])],
                environment=workspace.environment | (gate.environment if gate else {}),
                folder=workspace.folder,
                stdin=stdin,
                limits=self.limits,
                deadline_seconds=deadline_seconds,
                on_line=ProgressReader(tell),
            )
        if mode == "required" and finished.exit_code == UNCONFINED:
            raise Unconfined(_UNCONFINED)
        return finished

    async def expect(
        self,
        arguments: Sequence[str],
        *,
        workspace: Workspace,
        stdin: bytes = b"",
        deadline_seconds: float,
        change: bool = False,
        tell: Callable[[Progress], None] | None = None,
        gate: Gate | None = None,
        ports: Collection[int] | None = None,
        chart: str = "",
        late: type[HelmError] = WaitTimeout,
    ) -> Finished:
        """Run helm as `call` does, and raise unless it succeeded.

        Args:
            arguments: See `call`, as for the others.
            workspace: See there.
            stdin: See there.
            deadline_seconds: See there.
            change: See there.
            tell: See there.
            gate: See there; whether it talks to a chart's source.
            ports: See there.
            chart: Name of the chart, for pointers into its values.
            late: What it means that the deadline has passed.

        Raises:
            HelmError: The subclass that fits what helm said.
        """
        finished = await self.call(
            arguments,
            workspace=workspace,
            stdin=stdin,
            deadline_seconds=deadline_seconds,
            change=change,
            tell=tell,
            gate=gate,
            ports=ports,
        )
        if finished.exit_code != 0 or finished.expired:
            if gate is not None and gate.failure is not None:
                raise gate.failure
            raise error_of(finished, late=late, fetching=gate is not None, chart=chart)
        return finished

    async def _version_of(self, path: Path) -> tuple[int, int, int]:
        try:
            finished = await run(
                [str(path), "version", "--short"],
                environment={"HOME": "/nonexistent"},
                folder=Path("/"),
                limits=self.limits,
                deadline_seconds=VERSION_SECONDS,
            )
        except OSError as error:
            raise BinaryUnusable(f"{path.name} can't be run: {error.strerror}") from error
        if finished.exit_code != 0:
            raise BinaryUnusable(f"`helm version` failed: {finished.stderr[-300:]}", exit_code=finished.exit_code)
        return binary.parse_version(finished.stdout.decode(errors="replace"))
