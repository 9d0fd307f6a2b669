"""One run of the demo: its folder, its processes, the chapters, and the end, whatever it is."""

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import httpx

from app.demo import charts, webhooks
from app.demo.client import SlipwayClient
from app.demo.facts import Facts, UnexpectedError
from app.demo.follow import Follower
from app.demo.network import Account, Network
from app.demo.processes import Processes, StartError, answers, free_port, stop_recorded, wait_for
from app.demo.releases import NAME as RELEASE
from app.demo.releases import Shop
from app.demo.screen import Screen
from app.demo.shell import Shell
from app.demo.story import CHAPTERS, CLEARING, CLUSTER, GROUP, SECOND, Stage

CHECKOUT = Path(__file__).resolve().parents[2]
ARTICLE = CHECKOUT / "examples" / "eksdemo.yaml"
INTERRUPTED = 130
POLL_SECONDS = "0.2"
"""How often Slipway asks CloudFormation here; its default of 2 s is for stacks that take minutes."""

DELAYS: tuple[tuple[str, str, float], ...] = (
    ("create", "AWS::EKS::Cluster", 2.0),
    ("create", "AWS::EKS::Nodegroup", 1.0),
    ("create", "AWS::EKS::Addon", 0.5),
    ("create", "AWS::IAM::Role", 0.3),
    ("update", "AWS::EKS::Nodegroup", 0.6),
    ("delete", "AWS::EKS::Cluster", 0.6),
    ("delete", "AWS::EKS::Nodegroup", 0.6),
    ("delete", "AWS::EKS::Addon", 0.4),
    ("create", "AWS::ECR::Repository", 0.4),
)
"""Operation, type and seconds: long enough to be seen."""


class BusyError(Exception):
    """Another demo runs in this folder."""


def run(*, keep: bool) -> int:
    """Run the demo; return its exit code."""
    screen, began = Screen(), time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(os.environ.get("SLIPWAY_DEMO_DIR") or CHECKOUT / ".demo").resolve()
    if not ARTICLE.exists():
        screen.say("The demo needs a checkout of Slipway: run `make demo` there.")
        return 1
    try:
        with _alone_in(folder):
            return _run(screen, folder, keep=keep, began=began)
    except BusyError:
        screen.say(f"Another demo is running in {folder}; wait for it, or end it.")
        return 1


def stop_kept() -> int:
    """Stop what a kept demo left running; return the exit code."""
    folder = Path(os.environ.get("SLIPWAY_DEMO_DIR") or CHECKOUT / ".demo").resolve()
    stopped = stop_recorded(folder)
    print(f"Stopped {', '.join(map(str, stopped))}." if stopped else "Nothing of the demo is running.")
    return 0


def _run(screen: Screen, folder: Path, *, keep: bool, began: float) -> int:
    processes = Processes(folder, keep=keep)
    kept, stage = False, None
    try:
        stage, env = _set_up(screen, processes, folder)
        told = int(os.environ.get("SLIPWAY_DEMO_CHAPTERS") or len(CHAPTERS))
        for chapter in CHAPTERS[:told] if keep else (*CHAPTERS, *CLEARING):
            chapter(stage)
        if keep:
            _say_what_next(stage, processes, env)
            kept = True
        _sum_up(stage, time.monotonic() - began)
    except UnexpectedError as error:
        rows = [("this should hold", error.fact), ("expected", _told(error.expected)), ("found", _told(error.found))]
        _complain(screen, processes, "Not as it should be", rows)
        return 1
    except KeyboardInterrupt:
        # On a screen of its own: the other one keeps what it is told to itself if it was interrupted while it wrote.
        Screen().say("Interrupted; stopping the processes.")
        return INTERRUPTED
    except Exception as error:  # whatever it is, the reader wants to know it and to see the log
        _complain(screen, processes, "The demo cannot go on", [(type(error).__name__, error)])
        return 1
    else:
        return 0
    finally:
        if stage:
            stage.client.close()
            stage.account.close()
        if not kept:
            processes.stop()


def _set_up(screen: Screen, processes: Processes, folder: Path) -> tuple[Stage, dict[str, str]]:
    screen.chapter("The processes")
    key = f"demo-{secrets.token_hex(16)}"
    env = _environment()
    # The first time it takes minutes; what needs no Kubernetes goes on meanwhile.
    build = processes.start("kubernetes", ["localcloud", "build"], env)
    began = time.monotonic()
    cloud = processes.start(
        "localcloud",
        ["localcloud", "up", "--port", "0", "--dir", str(folder / "cloud"), *processes.bound],
        env,
    )
    env |= {"SLIPWAY_DATABASE_URL": f"sqlite:///{folder / 'slipway.db'}", "SLIPWAY_ADMIN_KEY": key}
    env |= {"SLIPWAY_POLL_MIN_SECONDS": POLL_SECONDS}
    # What needs no cloud starts while it does.
    repository = charts.serve(processes, folder / "charts", ARTICLE.parent / "charts" / "sock-shop", env)
    receiver = webhooks.start(processes, folder, ARTICLE.parent, env)
    _migrate(env)
    ready: dict[str, Any] = json.loads(processes.first_line(cloud))
    env |= ready["env"]
    _use_local_cloud(env)
    _put_rules(ready["endpoint"])
    rows = [("local cloud", f"{ready['endpoint']}   pid {cloud.process.pid}, {time.monotonic() - began:.1f} s")]
    began, port = time.monotonic(), free_port()
    url = f"http://127.0.0.1:{port}"
    service = processes.start("slipway", ["serve", "--port", str(port)], env)
    wait_for(answers(url, key), service)
    rows.append(("Slipway", f"{url}   pid {service.process.pid}, {time.monotonic() - began:.1f} s"))
    rows.append(("receiver", f"{receiver.url}   of webhooks"))
    rows.append(("charts", f"{repository}   a repository with the chart of examples/"))
    rows.append(("database", f"SQLite, {_short(folder / 'slipway.db')}, at the newest schema"))
    screen.pairs(rows)
    client = SlipwayClient(url, key, screen)
    article = ARTICLE.read_text(encoding="utf-8")
    follower, facts = Follower(client, screen), Facts(screen.fact)
    (folder / "files").mkdir()
    shell = Shell(screen, folder / "files", CHECKOUT / "localcloud" / ".venv" / "bin")
    shop = Shop(screen, facts, client, follower, shell, ARTICLE.parent / "sock-shop.json")
    stage = Stage(
        screen,
        facts,
        client,
        follower,
        Account(),
        ready["endpoint"],
        article,
        Network(),
        receiver,
        ARTICLE.parent,
        folder / "files",
        build,
        repository,
        shop,
    )
    return stage, ready["env"]


def _environment() -> dict[str, str]:
    """Return the environment of the processes: nothing of the caller's AWS or Slipway settings may reach them."""
    kept = "SLIPWAY_LOCALCLOUD_KUBERNETES"  # programs that are built already
    env = {
        name: value for name, value in os.environ.items() if name == kept or not name.startswith(("AWS_", "SLIPWAY_"))
    }
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    no_proxy = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    return env | nowhere | no_proxy | {"AWS_EC2_METADATA_DISABLED": "true"}


def _use_local_cloud(env: dict[str, str]) -> None:
    """Have the demo's own calls to AWS go where Slipway's go."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        {name: value for name, value in env.items() if name.startswith("AWS_") or "proxy" in name.lower()}
    )


def _migrate(env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "app", "migrate"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise StartError(f"the database cannot be migrated:\n{done.stderr}")


def _put_rules(endpoint: str) -> None:
    pace = float(os.environ.get("SLIPWAY_DEMO_PACE") or 1)
    rules: list[dict[str, Any]] = json.loads(os.environ.get("SLIPWAY_DEMO_RULES") or "[]")
    rules += [{"op": op, "type": type_, "delay": delay * pace} for op, type_, delay in DELAYS]
    httpx.put(f"{endpoint}/_localcloud/rules", json=rules, trust_env=False, timeout=60).raise_for_status()


def _say_what_next(stage: Stage, processes: Processes, env: dict[str, str]) -> None:
    screen, client = stage.screen, stage.client
    screen.chapter("It is yours now")
    screen.say("All processes run on. Lines to paste:")
    screen.console.print()
    auth = f"curl -sS -H 'Authorization: Bearer {client.key}'"
    patch = f"{auth} -X PATCH -H 'Content-Type: application/json' {client.url}"
    shrink, log = '{"scaling": {"desired": 2}}', '{"logging": {"types": ["audit"]}}'
    more = '{"set": ["services.front-end.replicas=2"]}'
    operation = client.read("/operations", limit=1)["items"][0]["id"]
    screen.commands(
        [
            f"{auth} {client.url}/clusters/{CLUSTER}",
            f"{auth} '{client.url}/nodegroups?cluster={CLUSTER}'",
            f"{auth} -N -H 'Accept: text/event-stream' {client.url}/operations/{operation}/events",
            f"{auth} {client.url}/webhooks/{stage.receiver.webhook_id}/deliveries",
            f"{auth} {client.url}/clusters/{CLUSTER}/kubeconfig",
            f"{auth} {client.url}{stage.registry}/images",
            f"{auth} {client.url}/releases/{RELEASE}",
            f"{auth} {client.url}/releases/{RELEASE}/resources",
            f"{auth} {client.url}/releases/{RELEASE}/history",
            f"{patch}/releases/{RELEASE} -d '{more}'",
            f"{auth} -X DELETE {client.url}/releases/{RELEASE}",
            f"{patch}/nodegroups/{GROUP} -d '{shrink}'",
            f"{patch}/clusters/{CLUSTER} -d '{log}'",
            f"{auth} -X DELETE {client.url}/nodegroups/{SECOND}",
            f"{auth} -X DELETE {client.url}/clusters/{CLUSTER}",
            f"curl -sS {stage.cloud_url}/_localcloud/leftovers",
        ]
    )
    screen.console.print()
    screen.say(f"Its documentation is at {client.url}/docs. For the AWS CLI, the local cloud is:")
    screen.console.print()
    screen.commands([f"export {name}={value}" for name, value in env.items() if name.startswith("AWS_")])
    screen.console.print()
    screen.say("kubectl and helm log in with these, too:")
    screen.console.print()
    screen.commands(stage.shop.shell.exports)
    screen.console.print()
    screen.say("To stop them:")
    screen.console.print()
    screen.commands([f"kill {' '.join(map(str, processes.ids))}     # or: make demo-stop"])


def _sum_up(stage: Stage, took: float) -> None:
    stage.screen.console.print()
    stage.screen.console.rule(style="dim", characters="─")
    stage.screen.fact(f"{stage.facts.count} facts checked, all as they should be, in {took:.1f} s")


def _complain(screen: Screen, processes: Processes, title: str, rows: Sequence[tuple[str, object]]) -> None:
    screen.console.print()
    screen.box(title, rows, style="red")
    if log := processes.log_tail("slipway", 12):
        screen.say("The end of the service's log:")
        screen.commands([log])


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Empty the folder, after what an earlier demo left running in it is stopped; hold it against a second demo."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError from error
        stop_recorded(folder)
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()
        yield


def _told(value: object) -> str:
    """Return a value in a reader's words: a list line by line, an empty one as nothing."""
    if isinstance(value, list):
        return "\n".join(map(str, value)) or "nothing"
    return str(value)


def _short(path: Path) -> str:
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
