"""Which install may run next: at most one on an instance's ComfyUI at a time, in the order of their starts.

Plain values without a lock, a thread or a clock; `Scheduler` guards it.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.fleet_places import Group, Limit, PlaceCount
from app.protocol.snapshot import Problem

ANY_UI_HOME = "*"


@dataclass(frozen=True, slots=True)
class ExclusiveKey:
    """What an install works on. `instance` is `host:port` as resolved; `ui_home` is `*` while it is not known."""

    instance: str
    ui_home: str

    @classmethod
    def of(cls, instance: str, ui_home: str | None) -> ExclusiveKey:
        """The key of one ComfyUI, however its folder is spelled; without `ui_home` the key of the whole instance."""
        return cls(instance, posixpath.normpath("/" + ui_home.lstrip("/")) if ui_home else ANY_UI_HOME)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that may not run yet: `behind` another (its task_id), or for a `limit` of its `group`; where neither holds
    it, no place is free. `position` counts from 1."""

    task_id: str
    behind: str | None
    position: int
    limit: Limit | None = None
    group: Group | None = None

    @property
    def is_free(self) -> bool:
        """Whether nothing but a place is missing."""
        return self.behind is None and self.limit is None


class ExclusiveQueue:
    """The tasks that run and those that wait. Nobody overtakes a task that wants the same exclusive key."""

    def __init__(self, max_running: int) -> None:
        self._max_running = max(1, max_running)
        self._running: dict[str, ExclusiveKey] = {}
        self._waiting: dict[str, ExclusiveKey] = {}
        self._groups: dict[str, Group] = {}
        """Of the tasks that have one."""

    def add(self, task_id: str, key: ExclusiveKey, group: Group | None = None) -> None:
        """Takes up a task as the last that waits; `admit` lets it run. A task that is known stays where it is."""
        if task_id not in self._running and task_id not in self._waiting:
            self._waiting[task_id] = key
            if group is not None:
                self._groups[task_id] = group

    def foreseen(self, added: Sequence[tuple[str, ExclusiveKey, Group | None]]) -> dict[str, Waiting]:
        """Which of these tasks would wait, and how, if they were added now."""
        trial = ExclusiveQueue(self._max_running)
        trial._running, trial._waiting, trial._groups = dict(self._running), dict(self._waiting), dict(self._groups)
        for task_id, key, group in added:
            trial.add(task_id, key, group)
        trial.admit()
        return {each.task_id: each for each in trial.waiting()}

    def admit(self) -> list[str]:
        """The waiting tasks that may run now; they run from here on."""
        free_places = max(0, self._max_running - len(self._running))
        free = [waiting.task_id for waiting in self.waiting() if waiting.is_free] if free_places else []
        admitted = free[:free_places]
        for task_id in admitted:
            self._running[task_id] = self._waiting.pop(task_id)
        return admitted

    def waiting(self) -> list[Waiting]:
        """The tasks that wait, in their order. A running task stands before every waiting one."""
        if not self._waiting:
            return []
        first: dict[str, dict[str, str]] = {}
        """By instance: the first task of each ui_home, in their order."""
        for task_id, key in self._running.items():
            first.setdefault(key.instance, {}).setdefault(key.ui_home, task_id)
        used = self._count_places()
        found = []
        for position, (task_id, key) in enumerate(self._waiting.items(), 1):
            ahead, group = first.setdefault(key.instance, {}), self._groups.get(task_id)
            behind = _first_in_the_way(key, ahead)
            limit = used.limit(key.instance, group) if group is not None and behind is None else None
            found.append(Waiting(task_id, behind, position, limit, group))
            if group is not None and found[-1].is_free:  # it comes before those behind it
                used.add(key.instance, group)
            ahead.setdefault(key.ui_home, task_id)
        return found

    def _count_places(self) -> PlaceCount:
        used = PlaceCount()
        for task_id, key in self._running.items():
            if (group := self._groups.get(task_id)) is not None:
                used.add(key.instance, group)
        return used

    @property
    def numbers(self) -> tuple[int, int]:
        """How many tasks run, and how many wait."""
        return len(self._running), len(self._waiting)

    def place_of(self, task_id: str) -> Waiting | None:
        """How one task waits; None when it does not. Cheaper than all of `waiting`, for polls."""
        key = self._waiting.get(task_id)
        if key is None:
            return None
        before = list(itertools.takewhile(lambda item: item[0] != task_id, self._waiting.items()))
        ahead: dict[str, str] = {}
        for other, its in itertools.chain(self._running.items(), before):
            if its.instance == key.instance:
                ahead.setdefault(its.ui_home, other)
        return Waiting(task_id, _first_in_the_way(key, ahead), len(before) + 1)

    def remove(self, task_id: str) -> bool:
        """Takes a waiting task out of the queue; False when it does not wait."""
        if self._waiting.pop(task_id, None) is None:
            return False
        self._groups.pop(task_id, None)
        return True

    def done(self, task_id: str) -> None:
        """Gives the exclusive key of a task back."""
        if self._running.pop(task_id, None) is not None:
            self._groups.pop(task_id, None)


def _first_in_the_way(key: ExclusiveKey, ahead: Mapping[str, str]) -> str | None:
    """The first task whose key conflicts with `key`; one without a ui_home conflicts with its whole instance. `ahead`
    has the first task of each ui_home, so that a thousand waiting tasks need not be compared one by one."""
    if key.ui_home == ANY_UI_HOME:
        return ahead.get(ANY_UI_HOME) or next(iter(ahead.values()), None)
    return ahead.get(key.ui_home) or ahead.get(ANY_UI_HOME)


def why_waiting(waiting: Waiting, max_running: int | None) -> Problem:
    """In words. `max_running`: of the one process that runs installs; None where several do."""
    if waiting.behind is not None:
        text = f"Waiting for the install {waiting.behind} in the same ComfyUI"
        return Problem("waiting_for_install", text, "It starts by itself.")
    if waiting.limit is not None and waiting.group is not None:
        return _of_group(waiting.limit, waiting.group)
    if max_running is None:
        return Problem("waiting_for_place", "Waiting for a free worker", "It starts by itself.")
    text = f"Waiting: {max_running} installs are running, and no more run at the same time"
    return Problem("waiting_for_place", text, "It starts by itself.")


def _of_group(limit: Limit, group: Group) -> Problem:
    most, place = (group.per_host, " on this host") if limit is Limit.PER_HOST else (group.at_once, "")
    running = "1 install of this fleet is" if most == 1 else f"{most} installs of this fleet are"
    text = f"Waiting: {running} running{place}, and no more run {'there ' if place else ''}at the same time"
    return Problem("waiting_for_place", text, "It starts by itself.")
