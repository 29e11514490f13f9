"""Who may read logs, but not the secrets in them, gets none by asking cleverly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.log_files import FILE_BYTES
from test.api.client import Api, closed_address, content, service_in
from test.support.chosen_engine import log_writer

SECRET = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
NAMED = "correct-horse-battery-staple"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with service_in(tmp_path) as running:
        yield running


@pytest.fixture
def task_id(api: Api) -> str:
    """A task that has failed, without logs."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    return task_id


def put(folder: Path, task_id: str, raw: bytes) -> None:
    with log_writer(folder, task_id) as writer:
        assert writer.append("run.log", 0, raw) == len(raw)


def parts(api: Api, task_id: str, *, offset: int, limit: int, size: int) -> list[str]:
    found = []
    while offset < size:
        part = content(api.get(f"/tasks/{task_id}/log?offset={offset}&limit={limit}"))
        assert part["next_offset"] > offset
        offset = part["next_offset"]
        found.append(part["text"])
    return found


@pytest.mark.parametrize("limit", [16, 17, 31])
def test_no_secret_is_put_together_out_of_parts_of_a_log(api: Api, task_id: str, tmp_path: Path, limit: int) -> None:
    """A piece of a secret looks like no secret."""
    raw = f"Café: the token is {SECRET} here\npassword = {NAMED}\nthe end\n".encode()
    put(tmp_path, task_id, raw)
    for first in range(limit):
        texts = parts(api, task_id, offset=first, limit=limit, size=len(raw))
        for text in texts:
            pieces = [text[at : at + 5] for at in range(len(text) - 4)]
            assert not [piece for piece in pieces if piece in SECRET or piece in NAMED], text
        assert "".join(texts).endswith("the end\n")


def test_parts_of_a_log_without_secrets_are_the_log(api: Api, task_id: str, tmp_path: Path) -> None:
    whole = "".join(f"line {number} ✓ of café\n" for number in range(800))
    put(tmp_path, task_id, whole.encode())
    assert "".join(parts(api, task_id, offset=0, limit=1000, size=len(whole.encode()))) == whole


def test_how_long_a_search_takes_says_nothing_of_secrets(api: Api, task_id: str, tmp_path: Path) -> None:
    """A right guess took eighty times as long as a wrong one."""
    rest = "".join(f"line {number} of ordinary text about things\n" for number in range(5000))
    put(tmp_path, task_id, f"{rest}Token is {SECRET} here\n{rest}".encode())

    def seconds(text: str) -> float:
        began = time.perf_counter()
        assert content(api.get(f"/tasks/{task_id}/log/search?q={text}"))["matches"] == []
        return time.perf_counter() - began

    seconds("warm")
    right, wrong = (min(seconds(text) for _ in range(8)) for text in ("ghp_A1b2", "ghp_A1b3"))
    assert right < 3 * wrong


def test_a_log_of_nothing_but_line_ends_is_looked_through_quickly(api: Api, task_id: str, tmp_path: Path) -> None:
    """Which line decided is asked by every page that is open."""
    raw = b"\n" * (FILE_BYTES - 100) + b"Traceback: it broke here\n"
    put(tmp_path, task_id, raw)
    began = time.perf_counter()
    part = content(api.get(f"/tasks/{task_id}/log?deciding=true&limit=16"))
    assert time.perf_counter() - began < 1.5
    assert part["lines"] == FILE_BYTES - 99
