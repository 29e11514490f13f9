"""`run.py serve` of this checkout, whose server also answers a constant body: what its polls are measured against.

The same process, the same server with all its limits and checks of a request's head; then no application of ours.
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
from bench.load import CONSTANT


class Served(HttpServer):
    """Answers CONSTANT/N with N bytes."""

    def __init__(self, app: Callable[..., Iterable[bytes]], *parts: Any, **named: Any) -> None:
        def constant(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            path = environ["PATH_INFO"]
            if not path.startswith(CONSTANT):
                return app(environ, start_response)
            body = b"x" * int(path.rpartition("/")[2])
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]

        super().__init__(constant, *parts, **named)


if __name__ == "__main__":
    vars(serve)["HttpServer"] = Served
    main()
