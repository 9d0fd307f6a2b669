"""`slipway demo` as a user runs it: processes, HTTP and exit codes; its output as a log, without a terminal."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

# The demo would wait for them by itself, for as long as they take to be built.
pytestmark = pytest.mark.usefixtures("kubernetes_programs")

CHAPTERS = 20
FAST = {"SLIPWAY_DEMO_PACE": "0.1"}
PATIENCE_SECONDS = 600  # it takes a minute; a machine may do much else


def start(folder: Path, *arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", "demo", *arguments],
        env={**os.environ, **FAST, "SLIPWAY_DEMO_DIR": str(folder), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests in the background has them, and all that they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(folder: Path, *arguments: str, **env: str) -> tuple[int, str]:
    with start(folder, *arguments, **env) as process:
        try:
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as late:
            process.send_signal(signal.SIGINT)  # it stops what it has started
            output, _ = process.communicate(timeout=60)
            raise AssertionError(f"not over after {late.timeout} s:\n{output}") from late
    return process.returncode, output


def ports(output: str) -> list[int]:
    lines = re.findall(r"^ +(?:local cloud|Slipway|receiver|charts) +http://127\.0\.0\.1:(\d+)", output, re.MULTILINE)
    return [int(port) for port in lines]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_whole_story_ends_well_and_leaves_nothing(tmp_path: Path) -> None:
    # Settings of the user's own shell must not reach anything: this profile does not exist, this endpoint is nobody's.
    own = {"AWS_PROFILE": "production", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "SLIPWAY_DATABASE_URL": "nonsense"}
    code, output = run(tmp_path, **own)
    assert code == 0, output
    assert "\x1b" not in output
    assert len(re.findall(r"^ \d+  .+ ─+$", output, re.MULTILINE)) == CHAPTERS
    for line in (
        "→ POST /clusters   application/yaml: the document above",
        "CREATE_COMPLETE         AWS::EKS::Cluster Cluster",
        "✓ one request became one operation with four children",
        "✓ the node group waited for the cluster, the addons for the node group",
        "! /managedNodeGroups/0/taints/dedicated: the taint names no effect and gets NO_SCHEDULE",
        "✓ it logs in by `aws eks get-token`, and holds no secret",
        "✓ EKS has 3 nodes for it",
        "✗  nodegroup.create  gpu  failed",
        "✓ its error has a stable code, and the first resource that failed",
        "✓ EKS has 1 node for it",
        "✓ both are listed, by their tags, sizes and media types",
        "✓ the scan on push found two critical flaws",
        "✓ the old image would go, the chart would not",
        "✓ images are counted, not deleted",
        "ready    Deployment/front-end",
        "✓ it is active, as its first revision",
        "✓ its notes end as the article's do",
        "✓ every service is ready",
        "✓ kubectl sees all services ready",
        "✓ helm sees the same release",
        "✓ its chart has the digest that was pushed",
        "✓ the shop itself stays",
        "✓ one field of one object would change, and nothing has",
        "✓ its cause is the pod, and the image that it cannot pull",
        "✓ its spec is that of revision 2",
        "✓ its test succeeded",
        "✓ helm and kubectl see nothing of it",
        "✓ first the node groups, then the addons, then the cluster",
        "✓ its ping came, and Standard Webhooks' library verified it",
        "✓ every signature held",
        "operations was told exactly once",
        "✓ the one callback_url was called once",
        "✓ it came again, under the same webhook-id",
        "✓ the old one signs beside it: its ping is verified, too",
        "✓ nothing at all",
        "all as they should be, in",
    ):
        assert line in output
    assert re.search(r"│ AWS code +VcpuLimitExceeded", output)
    assert re.search(r"│ what to do +Raise the EC2 quota", output)
    assert re.search(r"│ at fault +Pod/catalogue-\w+-\w+, container catalogue of Deployment/catalogue", output)
    assert len(ports(output)) == 4
    assert not any(listens(port) for port in ports(output))


def test_a_step_that_is_not_what_it_should_be_is_told_and_fails_the_demo(tmp_path: Path) -> None:
    message = "Your requested instance type (m5.large) is not supported in your requested Availability Zone"
    rules = [{"op": "create", "type": "AWS::EKS::Nodegroup", "fail": message}]
    code, output = run(tmp_path, SLIPWAY_DEMO_RULES=json.dumps(rules))
    assert code == 1
    assert "Not as it should be" in output
    assert "every one of them succeeded" in output
    assert re.search(r"│ expected +nothing", output)
    assert "nodegroup.create standard-workers failed: instance_type_not_supported: " in output
    assert "The same one, put right" not in output
    assert not any(listens(port) for port in ports(output))


def test_an_interrupted_demo_stops_what_it_started(tmp_path: Path) -> None:
    with start(tmp_path, SLIPWAY_DEMO_PACE="20") as process:
        assert process.stdout is not None
        output = ""
        for line in process.stdout:
            output += line
            if "← 202" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, output
    assert output.endswith("Interrupted; stopping the processes.\n"), output
    assert len(ports(output)) == 4
    assert not any(listens(port) for port in ports(output))


def test_kept_processes_answer_to_the_printed_lines_until_they_are_stopped(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--keep", SLIPWAY_DEMO_CHAPTERS="3")  # up to the cluster
    try:
        assert code == 0, output
        lines = [line for line in output.splitlines() if line.startswith("curl ")]
        assert len(lines) >= 8
        cluster: dict[str, Any] = json.loads(subprocess.check_output(["sh", "-c", lines[0]]))
        assert cluster["name"] == "eksdemo"
        for line in lines:
            assert subprocess.run(["sh", "-c", f"{line} --fail"], capture_output=True, check=False).returncode in (
                0,
                22,
            )
        assert all(listens(port) for port in ports(output))
    finally:
        stop = "from app.demo import stop; stop()"
        env = {**os.environ, "SLIPWAY_DEMO_DIR": str(tmp_path)}
        stopped = subprocess.run([sys.executable, "-c", stop], env=env, capture_output=True, text=True, check=False)
    assert re.fullmatch(r"Stopped \d+, \d+, \d+, \d+\.\n", stopped.stdout)
    deadline = time.monotonic() + 30
    while any(listens(port) for port in ports(output)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
