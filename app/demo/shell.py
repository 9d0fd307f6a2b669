"""A user's own terminal: `kubectl` and `helm`, let in by the kubeconfig that Slipway gives."""

import os
import subprocess
from pathlib import Path

from app.demo.facts import UnexpectedError
from app.demo.screen import Screen
from app.gateways.helm import binary

COMMAND_SECONDS = 60.0
_SIGN_FOR_AWS = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
"""A token must name AWS's own STS, for the local cloud as for AWS."""


class Shell:
    """Runs commands, and shows them.

    Args:
        screen: Where they are shown.
        folder: For the kubeconfig.
        aws: The folder of the AWS CLI, which the kubeconfig logs in by.
    """

    def __init__(self, screen: Screen, folder: Path, aws: Path) -> None:
        self._screen = screen
        self._kubeconfig = folder / "kubeconfig"
        self._aws = aws

    def log_in(self, kubeconfig: str) -> None:
        """Keep a kubeconfig for the commands that follow."""
        self._kubeconfig.touch(mode=0o600)  # helm warns of one that others can read
        self._kubeconfig.write_text(kubeconfig)

    @property
    def exports(self) -> list[str]:
        """Return the lines that make another shell one like this."""
        own = {"KUBECONFIG": str(self._kubeconfig), **_SIGN_FOR_AWS, "PATH": f"{self._aws}:$PATH"}
        return [f'export {name}="{value}"' for name, value in own.items()]

    def run(self, command: str) -> str:
        """Run `kubectl …` or `helm …`, show it, and return what it prints.

        Raises:
            UnexpectedError: it fails.
        """
        self._screen.say(f"$ {command}")
        done = subprocess.run(
            self._resolved(command),
            env=self._env(),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            raise UnexpectedError(f"{command} succeeds", expected=0, found=f"{done.returncode}: {done.stderr}")
        return done.stdout

    def begin(self, command: str) -> None:
        """Run something whose first answer takes its time, without waiting for it: it warms up what it asks."""
        subprocess.Popen(
            self._resolved(command),
            env=self._env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _resolved(self, command: str) -> list[str]:
        program, *arguments = command.split()
        found = binary.locate() if program == "helm" else binary.from_wheel("kubectl")
        return [str(found), *arguments]

    def _env(self) -> dict[str, str]:
        path = f"{self._aws}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self._kubeconfig), **_SIGN_FOR_AWS}
