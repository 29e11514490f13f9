"""The page's bench: its limits say what holds, and its line counts what goes over it."""

from __future__ import annotations

import http.server
import threading
import urllib.request

from bench.page.limits import Row, at_most, percentile, share, table
from bench.page.wire import Wire


def test_a_promise_holds_up_to_its_limit() -> None:
    """And no further; without the old figure a share is not kept."""
    assert at_most("shift", 0.05, 0.05).holds
    assert not at_most("shift", 0.0501, 0.05).holds
    assert share("seconds", 1.0, 5.0, 1 / 5).holds
    assert not share("seconds", 1.1, 5.0, 1 / 5).holds
    assert not share("seconds", 1.0, None, 1 / 5).holds


def test_percentiles_are_of_what_was_measured() -> None:
    """Of nothing it is 0."""
    assert percentile(list(range(100)), 0.95) == 95
    assert percentile([], 0.95) == 0.0


def test_the_table_says_what_does_not_hold() -> None:
    """In its first column."""
    said = table([Row("rows in view", 5, None, ">= 16", False)])
    assert said.splitlines()[1].startswith("NO  rows in view")


def test_the_line_counts_both_directions() -> None:
    """Heads included."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Wire(server.server_port) as wire:
            with urllib.request.urlopen(wire.url, timeout=10) as answer:
                assert len(answer.read()) == 1000
            assert 1000 < wire.down < 2000
            assert 0 < wire.up < 1000
        server.shutdown()


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)

    def log_message(self, *_words: object) -> None:
        """Nothing is said of requests."""
