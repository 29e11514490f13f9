"""The folder that `wheels export` fills: what comes from an instance is hostile, what is in the folder the user's."""

from __future__ import annotations

import hashlib
import http.server
import threading
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.cli.api.wheel_folder import PAGE, Offered, WheelFolder, entries
from app.cli.errors import CliError
from app.runner.resolve.wheelhouse import look_at

NAME = "tool-1.0+cu128-py3-none-any.whl"
CONTENT = bytes(range(256)) * 40


def wheel(content: bytes = CONTENT, name: str = NAME) -> Offered:
    return Offered(name, len(content), hashlib.sha256(content).hexdigest(), own=True)


def sending(content: bytes, *, until: int | None = None) -> Callable[[int], Iterator[bytes]]:
    """Sends in pieces, and notes where it was asked to begin."""

    def send(offset: int) -> Iterator[bytes]:
        begun.append(offset)
        for at in range(offset, len(content) if until is None else until, 1000):
            yield content[at : at + 1000]

    begun: list[int] = []
    send.begun = begun  # type: ignore[attr-defined]
    return send


def test_a_wheel_arrives_once(tmp_path: Path) -> None:
    folder, send = WheelFolder(tmp_path / "new" / "wheels"), sending(CONTENT)
    assert [folder.fetch(wheel(), send), folder.fetch(wheel(), send)] == [True, False]
    assert (tmp_path / "new" / "wheels" / NAME).read_bytes() == CONTENT
    assert send.begun == [0]  # type: ignore[attr-defined]


def test_what_was_cut_short_goes_on_where_it_ended(tmp_path: Path) -> None:
    folder = WheelFolder(tmp_path)
    with pytest.raises(CliError, match="came only in part"):
        folder.fetch(wheel(), sending(CONTENT, until=3000))
    assert not (tmp_path / NAME).exists()
    send = sending(CONTENT)
    assert folder.fetch(wheel(), send)
    assert send.begun == [3000]  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("sent", [CONTENT[::-1], CONTENT + b"more"])
def test_what_is_not_as_was_said_is_removed(sent: bytes, tmp_path: Path) -> None:
    with pytest.raises(CliError, match="is not what the instance said"):
        WheelFolder(tmp_path).fetch(wheel(), sending(sent))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("link", [False, True])
def test_nothing_is_overwritten(link: bool, tmp_path: Path) -> None:
    mine, target = tmp_path / "mine", tmp_path / "wheels" / NAME
    target.parent.mkdir()
    mine.write_bytes(CONTENT if link else b"mine")
    target.symlink_to(mine) if link else target.write_bytes(b"mine")
    with pytest.raises(CliError, match="was not overwritten"):
        WheelFolder(target.parent).fetch(wheel(), sending(CONTENT))
    assert target.read_bytes() == mine.read_bytes()


_BAD: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("name", ("../x-1.0-py3-none-any.whl", "/etc/passwd", "x.whl", "x-1.0-py3-none-any.whl\n", "", 7)),
    ("bytes", (0, -1, True, 1 << 50, "10", None)),
    ("sha256", ("A" * 64, "a" * 63, "a" * 64 + "\n", None)),
)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in _BAD for value in values])
def test_what_is_no_wheel_is_left_out(field: str, value: Any) -> None:
    """One field is bad, and the others are good."""
    good = {"name": NAME, "bytes": 10, "sha256": "a" * 64, "own": True}
    assert len(entries([good], everything=True)) == 1
    given = {**good, field: value}
    assert entries([given, given["name"], None, []], everything=True) == []


def test_only_those_of_the_run_unless_all_are_asked_for() -> None:
    given = [{"name": NAME, "bytes": 1, "sha256": "a" * 64, "own": own} for own in (True, False, "yes")]
    assert [len(entries(given, everything=everything)) for everything in (False, True)] == [1, 3]


def test_the_folder_can_be_served_as_a_wheelhouse(tmp_path: Path) -> None:
    """As `python -m http.server` does, with a page of links that has digests."""
    folder = WheelFolder(tmp_path)
    folder.fetch(wheel(), sending(CONTENT))
    assert folder.write_page() and folder.write_page()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/"
            page = urllib.request.urlopen(url, timeout=10).read().decode()
            assert look_at(url).names == {NAME}
        finally:
            server.shutdown()
            thread.join(10)
    assert f'"tool-1.0%2Bcu128-py3-none-any.whl#sha256={wheel().sha256}"' in page
    assert look_at(str(tmp_path)).names == {NAME}


def test_another_page_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / PAGE).write_text("mine")
    assert not WheelFolder(tmp_path).write_page()
    assert (tmp_path / PAGE).read_text() == "mine"
