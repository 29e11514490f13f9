"""Tasks by the beginning of their id, lists that are longer than a page, and logs without a word; over real HTTP."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import Any

from click.testing import CliRunner, Result

from app.cli.api.task_ids import shortened
from app.cli.entry import cli
from app.cli.program import RUN_FILE
from test.cli.scripted_service import Answer, Script, serving
from test.cli.stories import TASK_ID, ended
from test.support.terminal import on_a_terminal

OTHERS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(250)]


@dataclass
class Many(Script):
    """A service with many tasks, which it lists in pages of at most 200, and empty logs."""

    ids: list[str] = field(default_factory=lambda: [*OTHERS, TASK_ID, f"550e8499{TASK_ID[8:]}"])
    queries: list[str] = field(default_factory=list)

    def application(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Remembers what was asked behind `?`."""
        self.queries.append(environ["QUERY_STRING"])
        return super().application(environ, start_response)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """What this request is answered."""
        if path == "/tasks":
            asked = dict(pair.split("=") for pair in self.queries[-1].split("&") if pair)
            limit, begin = int(asked["limit"]), int(asked.get("cursor", 0))
            if limit > 200:
                return 400, {"success": False, "error": "invalid_request", "message": "limit is over 200."}
            page = [{"task_id": each, "state": "completed", "instance": "root@h:22"} for each in self.ids]
            more = str(begin + limit) if len(page) > begin + limit else None
            return 200, {"success": True, "tasks": page[begin : begin + limit], "next_cursor": more}
        if path.endswith("/log"):
            empty = {"text": "", "next_offset": 0, "size": 0, "complete": True}
            return 200, {"success": True, "task_id": TASK_ID, **empty}
        return super().answer(method, path, body)


def run(*words: str) -> Result:
    with serving(Many([ended("partial").progress])) as url:
        return CliRunner().invoke(cli, ["tasks", *words, "--server", url])


def test_the_beginning_of_an_id_is_enough() -> None:
    """In any case, and for a task that is not on the first page."""
    assert "Partly installed" in run("show", "550e84004"[:8]).stdout
    assert run("cancel", "550E8400").stdout == f"{TASK_ID} is cancelling\n"


def test_a_beginning_of_several_lists_them() -> None:
    """Nothing is done then, nor for one that nothing begins with, or that is too short."""
    several = run("cancel", "550e84")
    assert several.exit_code == 1 and "2 tasks have an id that begins with 550e84." in several.stderr
    assert TASK_ID in several.stderr and "550e8499" in several.stderr
    assert "250 tasks" in run("cancel", "0000").stderr and "and 240 more" in run("cancel", "0000").stderr
    assert "No task has an id that begins with abcd." in run("show", "abcd").stderr
    assert "too short" in run("cancel", "55").stderr


def test_a_list_may_be_longer_than_a_page() -> None:
    lines = run("list", "--limit", "251").stdout.splitlines()
    assert (len(lines), lines[-1].split()[0]) == (252, TASK_ID)


def test_ids_are_as_short_as_they_can_be_on_a_terminal() -> None:
    """In a pipe they are whole. Eight characters, or more where those are not enough."""
    assert shortened([TASK_ID, OTHERS[0]]) == 8
    assert shortened([TASK_ID, TASK_ID[:10] + "ffff"]) == 11
    with serving(Many([ended("all").progress], ids=[TASK_ID])) as url:
        words = [sys.executable, str(RUN_FILE), "tasks", "list", "--server", url]
        with on_a_terminal(words, os.environ) as screen:
            screen.read_until("root@h:22")
            assert "550e8400 " in screen.text and TASK_ID not in screen.text


def test_a_log_of_nothing_says_so() -> None:
    """Where a script reads, nothing is in its way."""
    result = run("log", TASK_ID)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing was printed there so far." in result.stderr
