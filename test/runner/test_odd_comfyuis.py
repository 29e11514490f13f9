"""A running ComfyUI whose packs have a hand in what it answers: nothing of it ends a run."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.runner.comfyui.running import Loaded, answers, loaded_by, modules_of

OK = b"HTTP/1.1 200 OK\r\n"
ODD = {
    "no HTTP": b"hello\r\n\r\n",
    "nothing": b"",
    "cut": OK + b"Content-Length: 100\r\n\r\n{",
    "an endless header": OK + b"X: " + b"x" * 100_000,
    "a piece without a length": OK + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
    "no JSON": OK + b"Content-Length: 1\r\n\r\n{",
    "a list": OK + b"Content-Length: 2\r\n\r\n[]",
    "nested": OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
    "a huge number": OK + b"Content-Length: 9000\r\n\r\n" + b"1" * 9000,
}


@contextmanager
def comfyui(said: bytes) -> Iterator[str]:
    """The address of one that says this to whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    stream, _ = server.accept()
                except OSError:
                    return
                with stream:
                    stream.recv(65536)
                    stream.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_says_nothing(name: str, tmp_path: Path) -> None:
    with comfyui(ODD[name]) as address:
        assert modules_of(address) is None
        assert loaded_by(address, tmp_path) == Loaded()
        assert answers(address) in (True, False)
