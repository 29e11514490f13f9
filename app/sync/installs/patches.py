"""Patches: what of an install's progress has changed since a revision that its reader has.

A patch is made out of the answer that somebody was given at that revision, which stays here for a while: several
readers may be at several revisions. Whoever comes from one that is not here gets the whole progress, as always.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.sync.installs.progress_cache import InstallStatus

Progress = dict[str, Any]
Render = Callable[[InstallStatus], Progress]

HEAD = ("success", "task_id", "state", "in_progress", "completed", "revision", "last_event_seconds_ago")
"""What every answer has, whether it is whole or not."""
MOVING = ("queue", "retry", "elapsed_seconds", "run_seconds", "elapsed_time", "eta_seconds")
"""What changes without a revision: every patch has it."""
FIGURES = frozenset(
    {
        *("percent", "message", "eta", "clone_progress", "data_received", "download_rate", "current_node"),
        *("current_status", "has_requirements", "requirements_status", "packages_done", "packages_bytes_done", *MOVING),
    }
)
FIGURES_OF_A_PACK = frozenset({"clone_progress", "bytes_received", "bytes_per_second", "eta_seconds", "seconds"}) | {
    "wait_seconds",
    "heard_at",
}
"""What moves all the time while packs are downloaded. Nobody has to have it at once."""
LISTS = {"nodes": "name", "phases": "name", "steps": "name", "builds": "package"}
"""Lists whose rows are known by one of their fields: a patch has only what changed of a row."""

MAX_TASKS = 1000
MAX_ANSWERS = 64
MAX_CHARS = 4 * 1024 * 1024
"""Of one task: the oldest answers go first. One that is larger alone is not kept."""
MAX_ALL_CHARS = 24 * 1024 * 1024
"""Of all tasks: those that nobody has asked about for the longest time go first."""
_WITHOUT_PATCHES = 4


@dataclass(slots=True)
class _OfTask:
    """What readers of one task have. `answers`: whole ones, by revision, with what each adds to the memory of the
    others; `others`: the newest that came without `patch`, which are made again if somebody comes back from them."""

    answers: OrderedDict[int, tuple[Progress, int]] = field(default_factory=OrderedDict)
    others: deque[InstallStatus] = field(default_factory=lambda: deque(maxlen=_WITHOUT_PATCHES))
    chars: int = 0


class Patches:
    """The patches of one service. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.line = secrets.token_hex(4)
        """Says which service has given a revision: after a restart the same number may mean something else."""
        self._lock = threading.Lock()
        self._tasks: OrderedDict[str, _OfTask] = OrderedDict()
        self._chars = 0

    def note(self, status: InstallStatus) -> None:
        """Somebody was given the whole progress, and may come back for a patch."""
        with self._lock:
            others = self._of(status.snapshot.task_id).others
            if not others or others[-1].snapshot is not status.snapshot:
                others.append(status)

    def answer(self, whole: Progress, since: int | None, line: str | None, render: Render) -> Progress:
        """What a reader is answered that has the revision `since` of `line` and may be given a patch. `whole`: the
        progress now; `render`: makes the progress of an earlier status."""
        known = None if since is None or (line or self.line) != self.line else self._find(whole, since, render)
        made = None if known is None else patch_of(known, whole)
        self._keep(whole, known, made)
        if made is None:
            return {**whole, "line": self.line}
        head = {name: whole[name] for name in HEAD}
        return {**head, "since": since, "line": self.line, "patch": made}

    def _of(self, task_id: str) -> _OfTask:
        known = self._tasks.setdefault(task_id, _OfTask())
        self._tasks.move_to_end(task_id)
        if len(self._tasks) > MAX_TASKS:
            self._drop_oldest()
        return known

    def _drop_oldest(self) -> None:
        self._chars -= self._tasks.popitem(last=False)[1].chars

    def _find(self, whole: Progress, since: int, render: Render) -> Progress | None:
        with self._lock:
            known = self._of(whole["task_id"])
            if since in known.answers:
                known.answers.move_to_end(since)
                return known.answers[since][0]
            found = next((status for status in known.others if status.snapshot.revision == since), None)
        return None if found is None else render(found)

    def _keep(self, whole: Progress, known: Progress | None, made: Mapping[str, Any] | None) -> None:
        chars = len(json.dumps(whole if made is None else made))
        kept = whole if known is None or made is None else _sharing(whole, known, made)
        with self._lock:
            task = self._of(whole["task_id"])
            before = task.chars
            task.chars += chars - task.answers.pop(whole["revision"], ({}, 0))[1]
            task.answers[whole["revision"]] = kept, chars
            while task.answers and (len(task.answers) > MAX_ANSWERS or task.chars > MAX_CHARS):
                task.chars -= task.answers.popitem(last=False)[1][1]
            self._chars += task.chars - before
            while len(self._tasks) > 1 and self._chars > MAX_ALL_CHARS:
                self._drop_oldest()


def has_only_figures(patch: Mapping[str, Any]) -> bool:
    """Whether nothing has happened but that downloads went on."""
    rows = patch.get("nodes", {}).values()
    return (
        patch.keys() <= {"set", "nodes"}
        and patch["set"].keys() <= FIGURES
        and all(row.keys() <= FIGURES_OF_A_PACK for row in rows)
    )


def patch_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """What makes `new` out of any answer of `old`'s revision, besides its `HEAD`; None where nothing short does."""
    if not old.keys() <= new.keys():
        return None
    made: dict[str, Any] = {"set": {name: value for name, value in new.items() if name in MOVING}}
    for name in new:
        if name in HEAD or name in MOVING:
            continue
        rows = _rows(old[name], new[name], LISTS[name]) if name in LISTS else None
        if rows:
            made[name] = rows
        elif rows is None and (name not in old or not _same(old[name], new[name])):
            made["set"][name] = new[name]
    return made


def _rows(old: list[Any], new: list[Any], key: str) -> dict[str, dict[str, Any]] | None:
    """By row what has changed of it; None where these are not the same rows in the same order."""
    names = [row[key] for row in new]
    if names != [row[key] for row in old] or len(set(names)) != len(names):
        return None
    found = {}
    for before, after in zip(old, new, strict=True):
        if before is after and key != LISTS["builds"]:
            continue
        changed = {name: value for name, value in after.items() if name not in before or not _same(before[name], value)}
        if key == LISTS["builds"] and "running" in (before["state"], after["state"]):
            changed["seconds"] = after["seconds"]  # it grows by itself
        if changed:
            found[after[key]] = changed
        if not before.keys() <= after.keys():
            return None
    return found


def _same(one: Any, other: Any) -> bool:
    """Whether these are the same JSON, with its order of fields: a timeline's order means something."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _sharing(whole: Progress, known: Progress, made: Mapping[str, Any]) -> Progress:
    """`whole`, with what the patch `made` leaves as it was taken from `known`: many answers cost little."""
    shared = {name: whole[name] if name in HEAD or name in made["set"] else known[name] for name in whole}
    for name, key in LISTS.items():
        if name not in made["set"]:
            changed = made.get(name, {})
            rows = zip(known[name], whole[name], strict=True)
            shared[name] = [new if new[key] in changed else old for old, new in rows]
    return shared
