"""The command that builds the programs."""

import subprocess
import sys
from pathlib import Path


def test_what_is_built_is_found_at_once(kubernetes_programs: Path) -> None:
    command = [sys.executable, "-m", "app", "localcloud", "build"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert Path(done.stdout.strip()) == kubernetes_programs
    assert done.stderr == ""
    assert (kubernetes_programs / "kube-apiserver").is_file()
