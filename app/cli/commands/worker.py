"""`worker`: a process that runs the installs of a shared PostgreSQL, and answers no requests but those about itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from app.cli.commands.serve import ANSWERS_SECONDS, let_go, limits_now, stop_on_signals
from app.cli.server import listener as listening
from app.cli.server import logs, memory
from app.cli.server.http_server import HttpServer
from app.cli.server.service_lock import ServiceLock, close_to_others
from app.cli.view.say import say
from app.factory import Service, build_service
from app.settings import settings_from
from app.storage.transactions import place_of
from app.sync.access import Access
from app.sync.http.admission import Admission
from app.sync.http.guards import check_bind

_ABOUT_ITSELF = frozenset({"/health", "/health/ready", "/metrics"})
_NOT_HERE = b'{"success":false,"error":"not_found","message":"This is a worker. It tells only of itself: %s."}'

_FOLDER = click.Path(path_type=Path, file_okay=False)
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@click.command()
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder of this process's own files."
)
@click.option("--host", help="Address for --port.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Answer /health, /health/ready and /metrics here.")
def worker(data_dir: Path | None, host: str | None, port: int | None) -> None:
    """Run installs of a shared PostgreSQL until Ctrl-C or SIGTERM.

    The setting database_url names it. Any number of workers may run, on any hosts, beside processes of `serve` with the
    role web. Each runs up to max_running installs at once. A worker that ends lets go of its installs, and others go on
    with them."""
    settings = settings_from(overrides={"data_dir": data_dir, "host": host, "role": "worker"})
    memory.give_back()
    logs.configure(settings.log_level, form=settings.log_format, secrets=(settings.token,), role=settings.role)
    close_to_others(settings.data_dir)
    asked = stop_on_signals()
    with ServiceLock(settings.data_dir), ExitStack() as opened:
        access = Access(settings)
        service = build_service(settings, access=access)
        server = None if port is None else _server(service, access, port, opened)
        say(f"A worker on {place_of(service.engine)}, for {settings.max_running} installs at once", has_secret=True)
        memory.search_less()
        _work(service, server, asked)


def _server(service: Service, access: Access, port: int, opened: ExitStack) -> HttpServer:
    settings = service.settings
    check_bind(settings)
    listener = opened.enter_context(listening.bind(settings.host, port, explicit=True, say=_say))
    say(f"It tells how it does on {listening.local_url_of(listener)}/health/ready")
    return HttpServer(
        _only_about_itself(service.app), listener, Admission(access), limits=limits_now(settings), threads=2
    )


def _work(service: Service, server: HttpServer | None, asked: threading.Event) -> None:
    """Until a signal came; then every install is let go of."""
    answering = None
    if server is not None:
        answering = threading.Thread(target=server.run, name="answering", daemon=True)
        answering.start()
    asked.wait()
    let_go(service)
    if server is not None and answering is not None:
        server.stop()
        answering.join(ANSWERS_SECONDS)
        server.close(timeout=ANSWERS_SECONDS)
    service.engine.dispose()


def _only_about_itself(app: Wsgi) -> Wsgi:
    body = _NOT_HERE % ", ".join(sorted(_ABOUT_ITSELF)).encode()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in _ABOUT_ITSELF:
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def _say(text: str) -> None:
    say(text, err=True)
