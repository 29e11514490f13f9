"""Which service a command talks to: the named one, the one that runs on the data folder, or one for the time being."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from app.cli.api.client import Api
from app.cli.errors import CliError
from app.cli.output import output
from app.cli.server import listener as listening
from app.cli.server import logs
from app.cli.server.local_login import local_login, local_secret
from app.cli.server.service_lock import RunningService, ServiceLock, close_to_others, running_service
from app.cli.view.say import say
from app.protocol import redaction
from app.settings import Settings, settings_from

START_SECONDS = 15.0
CLOSE_SECONDS = 3.0

_F = TypeVar("_F", bound=Callable[..., Any])


def service_options(command: _F) -> _F:
    """The options of every command that talks to a service: --server, --token and --data-dir."""
    command = token_option(command)
    command = click.option("--server", metavar="URL", help="Talk to the service at this address.")(command)
    folder = click.Path(path_type=Path, file_okay=False)
    return click.option("--data-dir", type=folder, help="Talk to the service that runs on this data folder.")(command)


def token_option(command: _F) -> _F:
    """--token, which `connection` uses."""

    def keep(_ctx: click.Context, _param: click.Parameter, given: str | None) -> None:
        output().token = given or ""
        redaction.register(given or "")

    text = "A token of that service. Other users can see it here: the setting token (NODEFERRY_TOKEN) hides it."
    return click.option("--token", metavar="TOKEN", expose_value=False, callback=keep, help=text)(command)


@contextmanager
def connection(server: str | None, data_dir: Path | None) -> Iterator[Api]:
    """A client of the service in question; at the end it is closed, and so is a service that was started for it."""
    settings = settings_from(overrides={"data_dir": data_dir})
    if server and not server.startswith(("http://", "https://")):
        text = f"{server!r} is not a service's address."
        raise CliError(text, hint="It looks like http://127.0.0.1:5000", field="--server")
    running = None if server else wait_for_address(settings.data_dir)
    url = server or (running.url if running else None)
    if url:
        token = _token(settings, running)
        with Api(url, token, data_dir=None if server else settings.data_dir) as api:
            yield api
        return
    with temporary_service(settings) as url, Api(url, local_secret(settings.data_dir)) as api:
        api.is_temporary = True
        yield api


def _token(settings: Settings, running: RunningService | None) -> str:
    """What the command line shows the service. A folder of another user may name any address: nothing is sent there
    but by --server."""
    if running is None or output().token:
        return output().token or settings.token
    return local_secret(settings.data_dir) or (settings.token if running.is_own else "")


def wait_for_address(data_dir: Path) -> RunningService | None:
    """The service that runs on the data folder, if any; one that is just starting is waited for."""
    stop = threading.Event()
    for _ in range(int(START_SECONDS / 0.1)):
        running = running_service(data_dir)
        if running is None or running.url:
            return running
        stop.wait(0.1)
    raise CliError(f"A service uses the data folder {data_dir}, but has not written down its address.")


@contextmanager
def temporary_service(settings: Settings) -> Iterator[str]:
    """A service of this process on a free loopback port; its URL."""
    # here: a client of a running service need not load a service
    from app.cli.server.http_server import HttpServer
    from app.factory import build_service
    from app.sync.access import Access
    from app.sync.http.admission import Admission

    logs.configure("WARNING", secrets=(settings.token,))
    settings = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
    close_to_others(settings.data_dir)
    with (
        ServiceLock(settings.data_dir) as lock,
        listening.bind("127.0.0.1", 0, explicit=True, say=say) as listener,
        local_login(settings.data_dir) as secret,
    ):
        access = Access(settings, secret)
        service = build_service(settings, access=access)
        server = HttpServer(service.app, listener, Admission(access), at_once=service.at_once)
        thread = threading.Thread(target=server.run, name="http", daemon=True)
        thread.start()
        url = listening.url_of(listener)
        lock.write_address(url)
        try:
            yield url
        finally:
            server.stop()
            thread.join(CLOSE_SECONDS)
            service.close()
            server.close(timeout=1.0)
