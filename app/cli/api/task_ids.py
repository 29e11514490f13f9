"""Tasks by the beginning of their id, as git has its commits."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from app.cli.api.client import Api
from app.cli.errors import CliError
from app.cli.program import program
from app.protocol.terminal_text import one_line

SHORTEST = 4
SHORT = 8
_PAGE = 200
_MOST_NAMED = 10
_BEGINNING = re.compile(r"[0-9a-f-]{1,35}")


def newest_tasks(api: Api, limit: int | None = None, *, state: str | None = None) -> Iterator[Mapping[str, Any]]:
    """The newest tasks, page by page; at most `limit`."""
    cursor, left = None, limit
    while left is None or left > 0:
        page = api.tasks(state=state, limit=_PAGE if left is None else min(left, _PAGE), cursor=cursor)
        yield from page["tasks"]
        left = None if left is None else left - len(page["tasks"])
        cursor = page.get("next_cursor")
        if not cursor:
            return


def whole_id(api: Api, given: str) -> str:
    """The id of the one task whose id begins so; what cannot be a beginning is passed on, for the service to refuse.
    Raises CliError where several begin so, or none."""
    beginning = given.strip().lower()
    if not _BEGINNING.fullmatch(beginning):
        return given
    if len(beginning) < SHORTEST:
        raise CliError(f"{beginning} is too short for a task's id.", hint=f"Give at least {SHORTEST} characters of it.")
    found = [task for task in newest_tasks(api) if str(task["task_id"]).startswith(beginning)]
    if not found:
        raise CliError(
            f"No task has an id that begins with {beginning}.",
            hint=f"{program()} tasks list shows them.",
            code="task_not_found",
        )
    if len(found) > 1:
        lines = [_in_a_line(task) for task in found[:_MOST_NAMED]]
        lines += [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
        text = f"{len(found)} tasks have an id that begins with {beginning}."
        raise CliError(text, hint="\n".join(["Give more of it:", *lines]))
    return str(found[0]["task_id"])


def shortened(ids: Collection[str]) -> int:
    """How many characters tell these ids apart, and are taken as a beginning."""
    length = SHORT
    while len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return length


def _in_a_line(task: Mapping[str, Any]) -> str:
    words = (task["task_id"], task.get("created_at"), task.get("state"), task.get("instance"))
    return "  ".join(one_line(word) for word in words if word)
