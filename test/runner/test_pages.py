"""Pages of links that others serve: read with a deadline and bounds, whatever they are like."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.runner.process.within import within
from app.runner.resolve.pages import PageUnavailable, links_in, read_links, read_page


@contextmanager
def _server(page: bytes, *, drips: bool = False) -> Iterator[str]:
    """Serves the page at every path. `drips`: it sends another byte each tenth of a second, for ever."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page)
            while drips and not ended.wait(0.1):
                self.wfile.write(b" ")

        def log_message(self, *_args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def test_a_page_that_never_ends_is_given_up() -> None:
    """Each byte comes in time; a socket's own timeout would wait for ever."""
    late = pytest.raises(PageUnavailable, match="no whole answer within 1 s")
    with _server(b"<a href='lib-1.0.tar.gz'>", drips=True) as url, late:
        read_page(url, 0.25)


def test_a_page_that_is_too_large_is_given_up() -> None:
    """Not more of it is kept than is allowed."""
    with _server(b" " * 3_000_000) as url, pytest.raises(PageUnavailable, match="larger than 2.1 MB"):
        read_page(url, most=2 << 20)


def test_links_that_are_no_addresses_cost_no_other_link() -> None:
    """Of a page of somebody's."""
    page = "<base href='http://[broken'><a href='http://[x/y.whl'></a><a href='../lib-1.0.whl'></a><a>no</a>"
    assert links_in(page, "http://a.example/simple/lib/") == []
    page = page.replace("http://[broken", "/other/")
    assert [link.url for link in links_in(page, "http://a.example/simple/lib/")] == ["http://a.example/lib-1.0.whl"]


def test_links_elsewhere_than_on_the_web_are_left_out() -> None:
    """A page is no way to files of the instance."""
    with _server(b"<a href='file:///etc/passwd'></a><a href='lib-1.0.whl'></a>") as url:
        assert [link.file for link in read_links(url)] == ["lib-1.0.whl"]


def test_a_call_within_a_deadline_answers_or_raises_as_it_would_alone() -> None:
    """What it raises is not changed."""
    assert within(10, lambda: 7) == 7
    with pytest.raises(KeyError, match="gone"):
        within(10, lambda: dict[str, int]()["gone"])
