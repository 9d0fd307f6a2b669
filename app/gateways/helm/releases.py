"""The releases of one cluster: install, upgrade, roll back, uninstall, test, and what they are.

Every method is one helm process in a private home, with a deadline of its own: helm's `--timeout` counts for each of
its waits anew. Two changes of one release must not run at once; whoever calls holds a lock for it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.gateways.helm.chart import Chart
from app.gateways.helm.client import Helm
from app.gateways.helm.confinement import ports_to
from app.gateways.helm.errors import (
    ClusterUnreachable,
    HelmError,
    HookFailed,
    OutputTooLarge,
    ReleaseNotFound,
    TestFailed,
    WaitTimeout,
    WorkloadFailed,
)
from app.gateways.helm.process import Finished
from app.gateways.helm.progress import Progress
from app.gateways.helm.release import Hook, Release, Revision, first_json, release_of, revisions_of
from app.gateways.helm.workspace import workspace
from app.gateways.kubernetes.connection import Connection

READ_SECONDS = 30.0
SLACK_SECONDS = 1.0
"""What helm gets beyond its own time-out to say which object was not ready."""

WaitStrategy = Literal["watcher", "legacy", "hooks"]
"""`watcher` waits by kstatus, `legacy` as helm 3 did, `hooks` for hooks alone. Custom resources can hang in `watcher`
(helm #32615)."""
_WAIT = {"watcher": "watcher", "legacy": "legacy", "hooks": "hookOnly"}

Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Change:
    """How a release is changed.

    Attributes:
        timeout_seconds: For the whole.
        wait: For what it waits.
        wait_for_jobs: Whether it also waits for Jobs that are no hooks to complete.
        history_max: Revisions that are kept.
        take_ownership: Whether objects that exist, and are no release's, become this one's.
        force_conflicts: Whether fields that others manage become this release's.
        description: Kept with the revision.
        labels: Of the release's record.
        tell: Hears of the progress, on the event loop.
    """

    timeout_seconds: float = 300.0
    wait: WaitStrategy = "watcher"
    wait_for_jobs: bool = False
    history_max: int = 10
    take_ownership: bool = False
    force_conflicts: bool = False
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tell: Tell | None = None

    def _waiting(self) -> list[str]:
        jobs = ["--wait-for-jobs"] if self.wait_for_jobs and self.wait != "hooks" else []
        return [f"--wait={_WAIT[self.wait]}", *jobs, "--timeout", f"{max(1, round(self.timeout_seconds * 1000))}ms"]

    def _recorded(self) -> list[str]:
        arguments = ["--history-max", str(self.history_max)]
        arguments += [f"--description={self.description}"] if self.description else []
        return arguments + [f"--labels={key}={value}" for key, value in self.labels.items()]


@dataclass(frozen=True, slots=True)
class TestRun:
    """How the tests of a release went.

    Attributes:
        tests: Each test, with its phase.
        error: Why it failed, or None.
    """

    tests: tuple[Hook, ...]
    error: HelmError | None = None


class Releases:
    """The releases of one cluster; cheap to make, holds nothing."""

    def __init__(self, helm: Helm, connection: Connection) -> None:
        self._helm = helm
        self._connection = connection

    async def upgrade(
        self, name: str, chart: Chart, values: Mapping[str, Any], *, namespace: str, change: Change | None = None
    ) -> Release:
        """Install a release, or upgrade it if it is there; `values` replace those of the revision before.

        Args:
            name: Of the release.
            chart: As `Helm.chart` fetched it.
            values: For it, `set` expressions already in them (`strvals.with_set`).
            namespace: Must exist.
            change: How.

        Raises:
            WaitTimeout: Not ready in time; the release is `failed`.
            HookFailed: A hook failed; the release is `failed`.
            WorkloadFailed: An object failed for good; the release is `failed`.
            ReleaseInProgress: It is `pending-*` (see `repair.py`).
            HelmError: What else went wrong; see `errors.py`.
            CancelledError: The caller was cancelled: the process is dead, and the release `failed`, or `pending-*` if
                it could not say so in time.
        """
        change = change or Change()
        arguments = ["upgrade", name, str(chart.path), "--install", "--values", "-", "--output", "json"]
        arguments += ["--reset-values", "--hide-notes", *change._waiting(), *change._recorded(), *_ownership(change)]
        finished = await self._change(arguments, namespace, change, json.dumps(values).encode(), chart.name)
        if finished.truncated:  # helm prints the whole chart; the release itself is done
            return await self.get(name, namespace=namespace)
        return release_of(first_json(finished.stdout))

    async def preview(
        self, name: str, chart: Chart, values: Mapping[str, Any], *, namespace: str, timeout_seconds: float = 30.0
    ) -> Release:
        """Return the release as `upgrade` would make it; nothing changes. Its manifest holds Secrets as they are.

        Args:
            name: Of the release.
            chart: As `Helm.chart` fetched it.
            values: For it.
            namespace: Of the release.
            timeout_seconds: For the whole.

        Raises:
            HelmError: Of rendering and of the cluster, as for `upgrade`.
        """
        arguments = ["upgrade", name, str(chart.path), "--install", "--values", "-", "--output", "json"]
        arguments += ["--reset-values", "--dry-run=server"]
        finished = await self._read(
            arguments, namespace, timeout_seconds, stdin=json.dumps(values).encode(), chart=chart.name
        )
        return release_of(first_json(finished.stdout))

    async def rollback(self, name: str, revision: int, *, namespace: str, change: Change | None = None) -> Release:
        """Make a new revision that is as an older one was, and return it.

        Args:
            name: Of the release.
            revision: The older one; 0 for the one before the present.
            namespace: Of the release.
            change: How; a rollback keeps no description or labels.

        Raises:
            ReleaseNotFound: There is no such release or revision.
            HelmError: As for `upgrade`.
        """
        change = change or Change()
        arguments = ["rollback", name, str(revision), *change._waiting(), "--history-max", str(change.history_max)]
        arguments += ["--force-conflicts"] if change.force_conflicts else []
        await self._change(arguments, namespace, change)
        return await self.get(name, namespace=namespace)

    async def uninstall(self, name: str, *, namespace: str, change: Change | None = None) -> bool:
        """Delete a release, its objects and its history; return whether there was one.

        Args:
            name: Of the release.
            namespace: Of the release.
            change: How long; unless `wait` is `hooks` it waits until the objects are gone.

        Raises:
            WaitTimeout: Objects are still there.
            HelmError: What else went wrong.
        """
        change = change or Change()
        timeout = f"{max(1, round(change.timeout_seconds * 1000))}ms"
        # helm's watcher loses the race with deletions: it ends early ("still exists"), or not at all (helm #31766).
        wait = _WAIT["hooks" if change.wait == "hooks" else "legacy"]
        arguments = ["uninstall", name, f"--wait={wait}", "--timeout", timeout, "--cascade", "foreground"]
        try:
            await self._change(arguments, namespace, change)
        except ReleaseNotFound:
            return False
        return True

    async def test(
        self, name: str, *, namespace: str, timeout_seconds: float = 300.0, tell: Tell | None = None
    ) -> TestRun:
        """Run a release's tests, and return how they went, failed ones too.

        Args:
            name: Of the release.
            namespace: Of the release.
            timeout_seconds: For the whole.
            tell: Hears of the progress.

        Raises:
            ReleaseNotFound: There is no such release.
            HelmError: The tests could not be run.
        """
        change = Change(timeout_seconds=timeout_seconds, tell=tell)
        timeout = f"{max(1, round(timeout_seconds * 1000))}ms"
        try:
            await self._change(["test", name, "--timeout", timeout], namespace, change)
        except (HookFailed, WaitTimeout, WorkloadFailed) as error:
            return TestRun(await self._tests(name, namespace), TestFailed(error.message, exit_code=error.exit_code))
        return TestRun(await self._tests(name, namespace))

    async def get(self, name: str, *, namespace: str, revision: int | None = None) -> Release:
        """Return a release with its values, manifest, notes and hooks.

        Args:
            name: Of the release.
            namespace: Of the release.
            revision: None for the newest.

        Raises:
            ReleaseNotFound: There is no such release or revision.
            OutputTooLarge: It is larger than what is kept of helm's output.
            HelmError: What else went wrong.
        """
        at = ["--revision", str(revision)] if revision is not None else []
        finished = await self._read(["status", name, *at, "--output", "json"], namespace)
        return release_of(first_json(finished.stdout))

    async def find(self, name: str, *, namespace: str) -> Release | None:
        """Return a release as `get` does, or None if there is none."""
        try:
            return await self.get(name, namespace=namespace)
        except ReleaseNotFound:
            return None

    async def values(self, name: str, *, namespace: str, revision: int | None = None) -> Mapping[str, Any]:
        """Return all values of a release, the chart's own among them.

        Raises:
            ReleaseNotFound: There is no such release or revision.
            HelmError: What else went wrong.
        """
        at = ["--revision", str(revision)] if revision is not None else []
        finished = await self._read(["get", "values", name, "--all", *at, "--output", "json"], namespace)
        found = first_json(finished.stdout)
        return found if isinstance(found, dict) else {}

    async def history(self, name: str, *, namespace: str, limit: int = 256) -> list[Revision]:
        """Return the revisions that are kept, oldest first; at most `limit`, the newest.

        Raises:
            ReleaseNotFound: There is no such release.
            HelmError: What else went wrong.
        """
        finished = await self._read(["history", name, "--max", str(limit), "--output", "json"], namespace)
        return revisions_of(first_json(finished.stdout))

    async def _tests(self, name: str, namespace: str) -> tuple[Hook, ...]:
        return tuple(hook for hook in (await self.get(name, namespace=namespace)).hooks if hook.is_test)

    async def _change(
        self, arguments: Sequence[str], namespace: str, change: Change, stdin: bytes = b"", chart: str = ""
    ) -> Finished:
        async with workspace(self._helm.root, self._connection) as home:
            return await self._helm.runner.expect(
                [*arguments, "--namespace", namespace],
                workspace=home,
                stdin=stdin,
                deadline_seconds=change.timeout_seconds + SLACK_SECONDS,
                ports=ports_to(self._connection.endpoint),
                change=True,
                tell=change.tell,
                chart=chart,
            )

    async def _read(
        self,
        arguments: Sequence[str],
        namespace: str,
        deadline_seconds: float = READ_SECONDS,
        *,
        stdin: bytes = b"",
        chart: str = "",
    ) -> Finished:
        async with workspace(self._helm.root, self._connection) as home:
            finished = await self._helm.runner.expect(
                [*arguments, "--namespace", namespace],
                workspace=home,
                stdin=stdin,
                deadline_seconds=deadline_seconds,
                ports=ports_to(self._connection.endpoint),
                chart=chart,
                late=ClusterUnreachable,
            )
        if finished.truncated:
            raise OutputTooLarge(f"the release has more than {self._helm.runner.limits.output_bytes} bytes")
        return finished


def _ownership(change: Change) -> list[str]:
    owned = ["--take-ownership"] if change.take_ownership else []
    return owned + (["--force-conflicts"] if change.force_conflicts else [])
