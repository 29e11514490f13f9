"""`serve`: the service in the foreground."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from app.cli.server import listener as listening
from app.cli.server import logs, memory
from app.cli.server.http_server import HttpServer
from app.cli.server.limits import Limits, limits_of, raise_open_files
from app.cli.server.local_login import local_login
from app.cli.server.service_lock import ServiceLock, close_to_others
from app.cli.view.say import say
from app.factory import Service, build_service
from app.settings import InvalidSetting, Settings, settings_from
from app.sync.access import Access, is_reached_by_proxy
from app.sync.capacity import PLACES, THREADS
from app.sync.http.admission import Admission
from app.sync.http.guards import check_bind

RELEASE_SECONDS = 3.0
"""How long releasing the installs may take after a signal. They go on; the next service attaches to them again."""
ANSWERS_SECONDS = 1.0
"""How long requests that are being answered may take after that."""
_SWITCH_SECONDS = 0.001
"""How long a thread that computes keeps the others waiting: Python's 5 ms, for each of several, make answers slow."""

_log = logging.getLogger(__name__)


_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option(
    "--host",
    help="Address to listen on; any but loopback needs a token: the first start makes one.  [default: 127.0.0.1]",
)
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one.  [default: 5000 or the next free]")
@click.option("--data-dir", type=_FOLDER, help="Folder of the database and progress files.")
def serve(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Run the service until Ctrl-C or SIGTERM."""
    settings = settings_from(overrides={"host": host, "port": port, "data_dir": data_dir})
    if settings.role == "worker":
        raise InvalidSetting("A process with the role worker answers nobody.", hint="Start it with the command worker.")
    check_bind(settings)
    memory.give_back()
    sys.setswitchinterval(_SWITCH_SECONDS)
    logs.configure(settings.log_level, form=settings.log_format, secrets=(settings.token,), role=settings.role)
    explicit = port is not None or not listening.is_default(settings.port)
    close_to_others(settings.data_dir)
    with (
        ServiceLock(settings.data_dir) as lock,
        listening.bind(settings.host, settings.port, explicit=explicit, say=_say) as listener,
        local_login(settings.data_dir) as secret,
    ):
        access = Access(settings, secret)
        is_first = access.lacks_token()
        if is_reached_by_proxy(settings) and not access.needs_login():
            _log.warning(
                "there is no token: whoever reaches the proxy in front can use your instances. "
                "Make one with `token new`, or let the proxy ask for a login"
            )
        service = build_service(settings, access=access)
        server = HttpServer(
            service.app, listener, Admission(access), limits=limits_now(settings), at_once=service.at_once
        )
        lock.write_address(listening.local_url_of(listener))
        local, outer = listening.local_url_of(listener), listening.outer_urls_of(listener)
        lines = [f"Nodeferry on {local}"]
        first = access.make_first() if is_first else None
        if first:
            lines.append(f"Log in, with a link that is shown only now: {(outer or [local])[0]}/#token={first}")
        if outer and outer != [local]:
            lines.append(f"From other machines: {', '.join(outer)}")
        memory.search_less()
        _serve(service, server, lines)


def limits_now(settings: Settings) -> Limits:
    """What this process may hold open at once, as the log says it."""
    before, now = raise_open_files()
    limits = limits_of(settings, now)
    raised = f" (raised from {before})" if now != before else ""
    text = "limits open_files=%d%s connections=%d connections_per_address=%d threads=%d slow_requests=%d"
    _log.info(text, now, raised, limits.connections, limits.per_address, THREADS, PLACES)
    return limits


def _serve(service: Service, server: HttpServer, lines: Sequence[str]) -> None:
    """Answers until a signal came and every install was released: polls are answered to the end, starts with a 503."""
    closing = threading.Thread(target=_close, args=(service, server, stop_on_signals()), name="closing", daemon=True)
    closing.start()
    say(
        "\n".join(lines), has_secret=True
    )  # the socket listens since the server was made: whoever reads this is answered
    server.run()
    server.close(timeout=ANSWERS_SECONDS)
    service.engine.dispose()


def _close(service: Service, server: HttpServer, asked: threading.Event) -> None:
    asked.wait()
    let_go(service)
    server.stop()


def let_go(service: Service) -> None:
    """Releases every install, within a time; what has not ended by then ends with the process."""
    releasing = threading.Thread(target=service.release, args=(RELEASE_SECONDS,), name="releasing", daemon=True)
    releasing.start()
    releasing.join(RELEASE_SECONDS + 0.5)
    if releasing.is_alive():
        _log.warning("not everything had ended after %.0f s; leaving it", RELEASE_SECONDS)


def stop_on_signals() -> threading.Event:
    """Set by SIGTERM and SIGINT; a person who pressed Ctrl-C is told once that it was heard."""
    asked = threading.Event()
    heard: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) > 1:  # a handler that meets itself in the middle of `set` would wait for itself
            return
        if number == signal.SIGINT:
            _say("Shutting down. Installs go on; the next start of the service connects to them again.")
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return asked


def _say(text: str) -> None:
    say(text, err=True)
