"""The service's HTTP server around an application of a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.cli.server.http_server import HttpServer
from app.cli.server.listener import bind, url_of
from app.settings import Settings
from app.sync.access import Access
from app.sync.http.admission import Admission


@contextmanager
def http_server(
    app: Callable[..., Any], *, port: int = 0, settings: Settings | None = None, **options: Any
) -> Iterator[str]:
    """Its URL. `port`: 0 for a free one; `settings`: who is let in; `options`: as HttpServer has them."""
    with bind("127.0.0.1", port, explicit=True, say=print) as listener:
        server = HttpServer(app, listener, Admission(Access(settings or Settings())), **options)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield url_of(listener)
        finally:
            server.stop()
            thread.join(10)
            server.close(timeout=2)
