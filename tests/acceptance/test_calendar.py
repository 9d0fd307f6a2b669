"""No day breaks anything: what depends on the calendar, once more on days to come."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import clocks
import pytest

ROOT = Path(__file__).parents[2]
DAYS = (date(2027, 6, 1), date(2028, 1, 1), date(2031, 1, 1))
SUITES = {
    "slipway": (sys.executable, ROOT / "tests"),
    "localcloud": (str(ROOT / "localcloud" / ".venv" / "bin" / "python"), ROOT / "localcloud" / "tests"),
}
PATIENCE_SECONDS = 600


@pytest.fixture(params=DAYS, ids=str)
def moved(request: pytest.FixtureRequest) -> dict[str, str]:
    """What moves the clocks of processes to a day."""
    try:
        return clocks.moved_to(request.param)
    except clocks.CannotMoveError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no run on {request.param}, since clocks cannot be moved here: {error}")


@pytest.mark.parametrize("suite", SUITES)
def test_on_another_day(moved: dict[str, str], suite: str, tmp_path: Path) -> None:
    """The tests' own process, Slipway's, the local cloud's and PostgreSQL's: all as they would be on that day."""
    python, tests = SUITES[suite]
    marked = [path for path in tests.rglob("test_*.py") if "mark.calendar" in path.read_text()]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    report = tmp_path / "report.xml"
    options = ["-m", "calendar", "-p", "no:cacheprovider", "--basetemp", tmp_path / "of", f"--junit-xml={report}"]
    ran = subprocess.run(
        [python, "-m", "pytest", *options, *marked],
        cwd=ROOT, env=env | moved, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    counts = ElementTree.parse(report).getroot()[0].attrib
    assert int(counts["tests"]) > 0
    assert counts["skipped"] == "0", ran.stdout
