"""The command line. Imports are inside the commands, so that `--help` and `openapi` are quick."""

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from types import FrameType

    from app.core.settings import Settings

cli = typer.Typer(
    name="slipway",
    help="Builds and runs Amazon EKS clusters. Settings are SLIPWAY_* variables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
localcloud = typer.Typer(
    help="The local cloud: CloudFormation, EKS, EC2, ECR and Kubernetes on this machine.", no_args_is_help=True
)
cli.add_typer(localcloud, name="localcloud")
keys = typer.Typer(help="The keys that encrypt secrets at rest.", no_args_is_help=True)
cli.add_typer(keys, name="keys")

_T = TypeVar("_T")

_LOCALCLOUD = Path(__file__).resolve().parent.parent / "localcloud"


def main() -> None:
    """Run the command line."""
    cli()


@cli.command()
def serve(
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8080,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Leave the background work to others.")] = False,
) -> None:
    """Serve the API, and do the background work in the same process."""
    settings = _settings()
    _prepare_schema(settings)
    _check_admin_key(settings)
    _check_key(settings)
    import uvicorn

    from app.http import connections
    from app.http.protocol import protocol_of
    from app.main import create_app, end_streams

    class Server(uvicorn.Server):
        """Ends event streams as soon as it is told to end: it would else wait for their readers."""

        def handle_exit(self, sig: int, frame: "FrameType | None") -> None:
            end_streams(app)
            if sig == signal.SIGTERM:  # uvicorn would raise it again in the end; a drain as asked for is no failure
                self.should_exit = True
            else:
                super().handle_exit(sig, frame)

    connections.raise_descriptor_limit()
    app = create_app(settings, with_worker=not no_worker)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol_of(connections.Limits.of(settings)),
        ws="none",
        forwarded_allow_ips=settings.http_trusted_proxies,
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
    )
    server = Server(config)
    server.run()
    if not server.started:
        raise typer.Exit(3)


@cli.command()
def worker() -> None:
    """Do the background work only."""
    settings = _settings()
    _prepare_schema(settings)
    _check_key(settings)
    import uvloop

    uvloop.run(_work(settings))


@cli.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    settings = _settings()
    from app import migrate as schema

    _connecting(lambda: schema.upgrade(settings.database_url))
    typer.echo(f"The schema is at {schema.newest()}.", err=True)


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from app.core.settings import Settings
    from app.http.openapi import render
    from app.main import create_app

    sys.stdout.write(render(create_app(Settings(), with_worker=False)))


@cli.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end.")] = False,
) -> None:
    """Show the whole story on the local cloud."""
    importlib.import_module("app.demo").main(keep=keep)


@keys.command("status")
def keys_status() -> None:
    """Count what is encrypted by the id of its key; exit 1 if something cannot be decrypted."""
    _keys(rotate=False)


@keys.command("rotate")
def keys_rotate() -> None:
    """Encrypt everything anew with the first key, beside running replicas; exit 1 unless all is under that one."""
    _keys(rotate=True)


@localcloud.command("up")
def localcloud_up(
    port: Annotated[int, typer.Option(min=0, max=65535)] = 4566,
    folder: Annotated[Path, typer.Option("--dir", help="Where it keeps its state.")] = Path(".localcloud"),
    die_with_parent: Annotated[bool, typer.Option("--die-with-parent", help="End when the parent ends.")] = False,
    day: Annotated[str | None, typer.Option(help="The day that EKS's support of versions goes by.")] = None,
) -> None:
    """Run the local cloud in the foreground; prints one JSON line when it is ready."""
    more = ["--die-with-parent"] if die_with_parent else []
    more += ["--day", day] if day else []
    _become_localcloud(["up", "--port", str(port), "--dir", str(folder), *more])


@localcloud.command("build")
def localcloud_build() -> None:
    """Compile the local cloud's Kubernetes, once per user: minutes, 400 MB; prints the programs' folder."""
    _become_localcloud(["build"])


def _become_localcloud(arguments: list[str]) -> NoReturn:
    """Run the local cloud's own project in this process's place, signals and all."""
    python = _LOCALCLOUD / ".venv" / "bin" / "python"
    if not python.exists():
        _give_up("The local cloud is not installed: run `make install` in a checkout of Slipway.")
    os.execv(python, [str(python), "-m", "slipway_localcloud", *arguments])  # noqa: S606


def _settings() -> "Settings":
    from pydantic import ValidationError

    from app.core.logging import configure
    from app.core.settings import Settings

    try:
        settings = Settings()
        configure(settings.log_level)
    except ValidationError as error:
        wrong = "; ".join(f"SLIPWAY_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        _give_up(f"The settings are not valid: {wrong}")
    except ValueError as error:
        _give_up(f"SLIPWAY_LOG_LEVEL: {error}")
    return settings


def _check_key(settings: "Settings") -> None:
    """Refuse to start without a key for the secrets: with PostgreSQL one must be given, the same in every replica."""
    from app.core.crypto import EncryptionKeyError, open_vault

    try:
        open_vault(settings).check()
    except EncryptionKeyError as error:
        _give_up(str(error))


def _check_admin_key(settings: "Settings") -> None:
    """Refuse to serve with a key that can be guessed, or on PostgreSQL without one: replicas would each make theirs."""
    from app.access.admin_keys import AdminKeyError, check

    try:
        check(settings)
    except AdminKeyError as error:
        _give_up(str(error))


def _prepare_schema(settings: "Settings") -> None:
    """Bring SQLite to the newest schema; refuse PostgreSQL that isn't there, because replicas share it."""
    from app import migrate as schema

    if settings.is_sqlite:
        _connecting(lambda: schema.upgrade(settings.database_url))
    else:
        _require_schema(settings)


def _require_schema(settings: "Settings") -> None:
    from app import migrate as schema
    from app.core.private_files import sqlite_file

    file = _connecting(lambda: sqlite_file(settings.database_url))
    if file is not None and not file.exists():
        _give_up(f"SLIPWAY_DATABASE_URL: there is no database at {file}.")
    revision = _connecting(lambda: asyncio.run(_revision(settings)))
    if not schema.is_ready(revision):
        at = f"at revision {revision}" if revision else "empty"
        _give_up(f"The database is {at}, this version needs {schema.newest()}: run `slipway migrate` first.")


def _keys(*, rotate: bool) -> None:
    settings = _settings()
    _require_schema(settings)
    _check_key(settings)
    from app import keys as rotation
    from app.core.crypto import open_vault
    from app.db.session import Database

    vault = open_vault(settings)

    async def run() -> list[rotation.Count]:
        database = Database(settings.database_url)
        try:
            return await (rotation.rotate if rotate else rotation.status)(database, vault)
        finally:
            await database.close()

    counts = _connecting(lambda: asyncio.run(run()))
    for line in rotation.report(counts, vault.key_ids):
        typer.echo(line)
    for why in (why for count in counts for why in count.lost):
        typer.echo(why, err=True)
    if any(count.lost or (rotate and count.older) for count in counts):
        raise typer.Exit(1)


async def _revision(settings: "Settings") -> str | None:
    from app import migrate as schema
    from app.db.session import Database

    database = Database(settings.database_url)
    try:
        async with database.read() as session:
            return await schema.current(session)
    finally:
        await database.close()


async def _work(settings: "Settings") -> None:
    from app import models  # noqa: F401 - SQLAlchemy must know every table
    from app.db.session import Database
    from app.gateways.aws.clients import AwsClients
    from app.wiring import wire
    from app.worker import Worker

    database = Database(settings.database_url)
    clients = AwsClients()
    services = wire(settings, database, clients)
    work = Worker(settings, database, services)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    notifier = asyncio.create_task(database.notifier.run())
    running = asyncio.create_task(work.run())
    logging.getLogger(__name__).info("the worker runs")
    await stop.wait()
    await work.stop()
    await asyncio.wait({running}, timeout=settings.drain_seconds)
    running.cancel()
    notifier.cancel()
    await asyncio.gather(running, notifier, return_exceptions=True)
    await services.aclose()
    await clients.aclose()
    await database.close()


def _connecting(call: Callable[[], _T]) -> _T:
    """Run what needs the database; give up with one sentence, and no password, when it cannot be reached."""
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    from app.core.logging import without_userinfo

    try:
        return call()
    except (ArgumentError, SQLAlchemyError, OSError, ValueError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        _give_up(without_userinfo(f"SLIPWAY_DATABASE_URL: the database cannot be used: {reason}"))


def _give_up(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
