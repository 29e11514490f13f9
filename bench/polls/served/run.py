"""`run.py serve` of this checkout, whose server also answers a constant body: what its polls are measured against.

The same process, the same server with all its limits and checks of a request's head; then nothing of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from app.cli.commands import serve
from app.cli.entry import main
from app.cli.server.http_server import HttpServer
from app.sync.http.at_once import AtOnce, Ready
from bench.load import AT_ONCE, CONSTANT


class Served(HttpServer):
    """Answers CONSTANT/N with N bytes in a thread, as any application's answers are made; AT_ONCE/N in its loop, as
    polls are."""

    def __init__(self, app: Callable[..., Iterable[bytes]], *parts: Any, at_once: AtOnce, **named: Any) -> None:
        def constant(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if not environ["PATH_INFO"].startswith(CONSTANT):
                return app(environ, start_response)
            ready = _ready(environ)
            start_response("200 OK", ready.headers)
            return [ready.body]

        def answer(environ: dict[str, Any]) -> Ready | None:
            return _ready(environ) if environ["PATH_INFO"].startswith(AT_ONCE) else at_once(environ)

        super().__init__(constant, *parts, at_once=answer, **named)


def _ready(environ: dict[str, Any]) -> Ready:
    body = b"x" * int(environ["PATH_INFO"].rpartition("/")[2])
    return Ready([("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)


if __name__ == "__main__":
    vars(serve)["HttpServer"] = Served
    main()
