"""`serve`: the service in the foreground."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from types import FrameType

import click

from app.cli import listener as listening
from app.cli import logs
from app.cli.http_server import HttpServer
from app.cli.service_lock import ServiceLock
from app.factory import Service, build_service
from app.settings import settings_from
from app.sync.routes.guards import check_bind

CLOSE_SECONDS = 4.0
"""How long the end may take after a signal. Installs on instances go on; the next service attaches to them again."""

_log = logging.getLogger(__name__)


_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--host", help="Address to listen on; any but loopback needs a token.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one.  [default: 5000 or the next free]")
@click.option("--data-dir", type=_FOLDER, help="Folder of the database and progress files.")
def serve(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Run the service until Ctrl-C or SIGTERM."""
    settings = settings_from(overrides={"host": host, "port": port, "data_dir": data_dir})
    check_bind(settings)
    logs.configure(settings.log_level, secrets=(settings.token,))
    explicit = port is not None or not listening.is_default(settings.port)
    with (
        ServiceLock(settings.data_dir) as lock,
        listening.bind(settings.host, settings.port, explicit=explicit, say=_say) as listener,
    ):
        service = build_service(settings)
        url = listening.url_of(listener)
        server = HttpServer(service.app, listener)
        lock.tell(url)
        _serve(service, server, url)


def _serve(service: Service, server: HttpServer, url: str) -> None:
    _stop_on_signals(server)
    click.echo(f"Nodeferry on {url}")  # the socket listens since the server was made: whoever reads this is answered
    server.run()
    closing = threading.Thread(target=_close, args=(service, server), name="closing", daemon=True)
    closing.start()
    closing.join(CLOSE_SECONDS)
    if closing.is_alive():
        _log.warning("not everything had ended after %.0f s; leaving it", CLOSE_SECONDS)


def _close(service: Service, server: HttpServer) -> None:
    service.close()
    server.close(timeout=1.0)


def _stop_on_signals(server: HttpServer) -> None:
    """SIGTERM and SIGINT end the service; a person who pressed Ctrl-C is told once that it was heard."""
    heard = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if not heard.is_set() and number == signal.SIGINT:
            _say("Closing. Installs that run on instances go on; the next start attaches to them again.")
        heard.set()
        server.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _say(text: str) -> None:
    click.echo(text, err=True)
