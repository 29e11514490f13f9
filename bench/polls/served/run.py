"""`run.py serve` of this checkout, whose server also answers a constant body: what its polls are measured against.

The same process, the same server with all its limits and checks of a request's head; then nothing of ours.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from app.cli.commands import serve
from app.cli.entry import main
from app.cli.server.http_server import HttpServer
from app.sync.http.at_once import AtOnce, Ready
from bench.load import CONSTANT


class Served(HttpServer):
    """Answers CONSTANT/N with N bytes, where polls are answered: in its loop."""

    def __init__(self, *parts: Any, at_once: AtOnce, **named: Any) -> None:
        def answer(environ: dict[str, Any]) -> Ready | None:
            path = environ["PATH_INFO"]
            if not path.startswith(CONSTANT):
                return at_once(environ)
            body = b"x" * int(path.rpartition("/")[2])
            return Ready([("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)

        super().__init__(*parts, at_once=answer, **named)


if __name__ == "__main__":
    vars(serve)["HttpServer"] = Served
    main()
