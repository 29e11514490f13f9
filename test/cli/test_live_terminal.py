"""The live picture on real pseudo-terminals of 60, 80, 100 and 140 columns."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import pytest

from app.cli.program import RUN_FILE
from app.protocol.events import NodeProgress
from test.cli.scripted_service import Answer, Script, serving
from test.cli.stories import COMMIT, NOT_FOUND, TASK_ID, begun, ended
from test.support.screen import Screen
from test.support.terminal import on_a_terminal

NAMES = ["ComfyUI-HunyuanVideoMultiLora", "Gone", "ComfyUI-WanVideoWrapper", *(f"Pack-{n:02}" for n in range(31))]
SENTENCE = "Downloading 34 node packs; 1 failed"
ROW = re.compile(r"(\S+) +(Ready|With a problem|Failed|Working|Waiting|Skipped|Stopped)(?:  +(.*))?")


class Placed(Script):
    """A service that also says where the run works."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """What this request is answered."""
        if path == f"/runs/{TASK_ID}":
            return 200, {"success": True, "machine": {"name": "ssh6:12345", "ui_home": "/workspace/ComfyUI"}}
        return super().answer(method, path, body)


def at_work() -> dict[str, Any]:
    """34 packs: one failed, some downloaded, one of a long name at 99 %, sixteen on their way."""
    story = begun(NAMES).node("Gone", "cloning", "failed", error=NOT_FOUND)
    for number in range(5):
        story.node(f"Pack-{number:02}", "cloning", "cloned", commit=COMMIT)
    for name in (NAMES[0], NAMES[2], *(f"Pack-{number:02}" for number in range(17, 31))):
        story.node(name, "cloning")
        story.emit(NodeProgress(name=name, percent=99, bytes_received=22_621_440, rate=11_258_291.0, eta=12.0))
    return {**story.progress, "summary": {"kind": "working", "tone": "live", "sentence": SENTENCE}}


def screen_of(columns: int, rows: int) -> Screen:
    """What a person sees while it goes on."""
    with serving(Placed([at_work()])) as url:
        command = [sys.executable, str(RUN_FILE), "install", "ssh -p 1 root@h", "--server", url]
        with on_a_terminal(command, os.environ, columns=columns, lines=rows) as terminal:
            terminal.read_until(" more" if rows < 40 else "Pack-30", 60)
            return Screen(columns, rows).feed(terminal.text)


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
def test_state_and_percent_are_whole_and_a_pack_has_one_line(columns: int) -> None:
    """And the head says how it stands, where, the sum, the time that has passed, what is left."""
    screen = screen_of(columns, 24)
    assert screen.wrapped == 0
    lines = screen.text[screen.text.index(SENTENCE) :]
    assert lines[1] == "ssh6:12345 · ComfyUI in /workspace/ComfyUI"
    assert re.fullmatch(r"━+─+ +\d+ %  \d\d:\d\d  about \d+ (?:s|min) left", lines[2])
    assert lines[3] == "34 node packs: 0 Ready · 1 Failed · 21 Working · 12 Waiting"
    rows = [ROW.fullmatch(line) for line in lines if not line.startswith("and ")][5:]
    assert rows and all(rows), lines
    said = {row[1]: row[3] or "" for row in rows if row}
    assert list(said) == [name for name in NAMES if name in said], "the order is the list's"
    assert set(said) >= {NAMES[0], NAMES[2], "Gone", *(f"Pack-{number:02}" for number in range(17, 28))}
    assert all(re.search(r"(?<!\d)99 %", said[name]) for name in (NAMES[0], NAMES[2], "Pack-17")), said
    assert "…" not in "".join(said.values())
    assert re.fullmatch(r"and \d+ more: (?:\d+ \w+(?: · )?)+", lines[-1])


def test_a_high_terminal_has_a_line_for_every_pack() -> None:
    """In the order of the list, whatever becomes of them."""
    lines = screen_of(80, 50).text
    assert [row[1] for row in map(ROW.fullmatch, lines) if row] == NAMES


def test_a_narrow_terminal_ends_with_a_whole_table() -> None:
    """A line a pack there too; nothing of the live picture is left above it."""
    with serving(Placed([at_work(), ended("partial").progress])) as url:
        command = [sys.executable, str(RUN_FILE), "install", "ssh -p 1 root@h", "--server", url]
        with on_a_terminal(command, os.environ, columns=60, lines=24) as terminal:
            terminal.read_to_end(60)
            assert terminal.process.wait(30) == 3
    screen = Screen(60, 24).feed(terminal.text)
    assert screen.wrapped == 0 and SENTENCE not in screen.text
    head = next(number for number, line in enumerate(screen.text) if line.startswith("pack "))
    assert [line.split()[:2] for line in screen.text[head + 1 : head + 4]] == [
        ["Alpha", "Ready"],
        ["Beta", "Ready"],
        ["Gamma", "Failed"],
    ]
