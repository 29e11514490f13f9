"""Progress that a program draws over itself leaves its first and its last state in a log."""

from __future__ import annotations

import random

import pytest

from app.runner.process.redrawn_lines import RedrawnLines

GIT = b"Cloning into 'x'...\n" + b"".join(b"Receiving objects: %3d%%\r" % n for n in range(101)) + b"done.\nnext\n"


@pytest.mark.parametrize(
    ("output", "log"),
    [
        (GIT, b"Cloning into 'x'...\nReceiving objects:   0%\ndone.\nnext\n"),
        (b"\r  0%|  |\r 50%|# |\r100%|##|\nend", b"100%|##|\nend"),
        (b"Updating files: 1%\rUpdating files: 100%\r", b"Updating files: 1%\nUpdating files: 100%"),
        (b"of windows\r\n\r\nlines\r\r\n", b"of windows\n\nlines\n"),
        (b"compiling ...", b"compiling ..."),
        (b"no progress\r\rat all\n", b"no progress\nat all\n"),
    ],
)
def test_the_first_and_the_last_state_are_kept(output: bytes, log: bytes) -> None:
    """In whatever pieces the output comes."""
    for seed in range(20):
        drawn, rest, found = RedrawnLines(), output, b""
        dice = random.Random(seed)
        while rest:
            size = dice.randint(1, 40) if seed else len(rest)
            found, rest = found + drawn.feed(rest[:size]), rest[size:]
        assert found + drawn.end() == log


def test_what_is_written_once_is_in_the_log_at_once() -> None:
    """Nothing waits for the end of a line that is not drawn again."""
    drawn = RedrawnLines()
    assert drawn.feed(b"Building wheel ... ") == b"Building wheel ... "
    assert drawn.feed(b"x" * 10_000) == b"x" * 10_000
