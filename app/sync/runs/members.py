"""The instances of fleets as they stand, remembered: who asks again pays for what has changed, not for all of them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.domain.record import InstallRecord
from app.domain.run_rows import Rows
from app.domain.run_summary import Kind
from app.protocol import counts
from app.protocol.counts import Counts
from app.protocol.states import TaskState
from app.storage.run_store import RunRow, RunStore
from app.sync.installs.progress_cache import InstallStatus
from app.sync.installs.service import Installs
from app.sync.runs import view
from app.sync.runs.parts import Task, Tasks

NEEDS = frozenset({Kind.QUESTION, Kind.FAILED, Kind.LOST, Kind.NOTHING, Kind.PARTIAL})
"""How an instance stands that somebody should look at."""
_MOST_FLEETS = 8
_FREE, _SHARE = 0.05, 4.0
"""Looking at all instances of a fleet may take a fourth of the time: where all of a thousand change each second, sums
are some seconds old. A look of `_FREE` seconds is made each time, and what is listed is always new."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest task of an instance that installs: a retry takes the place of what it repeats."""

    task_id: str
    state: TaskState
    percent: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class Facts:
    """How an instance stands. `row`: its run as lists show it; `seen`: the revisions that this was made from."""

    row: dict[str, Any]
    rows: Rows
    newest: Newest
    seen: tuple[int, ...]
    can_retry: bool

    @property
    def is_live(self) -> bool:
        """Whether it goes on."""
        return bool(self.row["in_progress"])

    @property
    def kind(self) -> str:
        """Of its summary."""
        return str(self.row["summary"]["kind"])

    @property
    def needing(self) -> bool:
        """Whether somebody should look at it."""
        return self.kind in NEEDS


@dataclass(frozen=True, slots=True)
class Member:
    """One instance of a fleet: its run, the tasks of that, oldest first, and how it stands (None: all forgotten)."""

    run: RunRow
    records: tuple[InstallRecord, ...]
    facts: Facts | None = None
    is_kept: bool = False
    """Whether the end of its run is in the table of runs."""

    @property
    def position(self) -> int:
        """In its fleet."""
        return self.records[0].fleet_position or 0 if self.records else 0


class _Roll:
    """The members of one fleet, by the ids of their runs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.signature: tuple[int, int] | None = None
        self.members: dict[str, Member] = {}
        self.next_look = 0.0


class Members:
    """Every method may be called from any thread; StorageError when the database fails."""

    def __init__(self, installs: Installs, store: RunStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._installs = installs
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._rolls: OrderedDict[str, _Roll] = OrderedDict()

    def of(self, fleet_id: str) -> list[Member]:
        """The instances of a fleet that are not forgotten, in its order."""
        roll = self._roll(fleet_id)
        with roll.lock:
            self._reload(fleet_id, roll)
            began = self._clock()
            if began >= roll.next_look:
                self._look_at(roll, list(roll.members.values()))
                taken = self._clock() - began
                roll.next_look = began + (_SHARE * taken if taken > _FREE else 0.0)
            return [member for member in roll.members.values() if member.facts is not None]

    def fresh(self, fleet_id: str, members: Collection[Member]) -> list[Member]:
        """These as they are at this moment."""
        roll = self._roll(fleet_id)
        with roll.lock:
            self._look_at(roll, [roll.members.get(each.run.run_id, each) for each in members])
            return [roll.members[each.run.run_id] for each in members]

    def kept(self, fleet_id: str, run: RunRow) -> None:
        """The end of this run is in the table of runs now."""
        with self._lock:
            roll = self._rolls.get(fleet_id)
        if roll is None:
            return
        with roll.lock:
            known = roll.members.get(run.run_id)
            if known is not None and known.run.changes == run.changes:
                roll.members[run.run_id] = replace(known, is_kept=True)

    # -- reading ----------------------------------------------------------------------------------------------------

    def _roll(self, fleet_id: str) -> _Roll:
        with self._lock:
            roll = self._rolls.setdefault(fleet_id, _Roll())
            self._rolls.move_to_end(fleet_id)
            while len(self._rolls) > _MOST_FLEETS:
                self._rolls.popitem(last=False)
            return roll

    def _reload(self, fleet_id: str, roll: _Roll) -> None:
        """Which instances there are, and which tasks each has; those that have new ones are read again."""
        signature = self._store.signature(fleet_id)
        if signature == roll.signature:
            return
        changes = self._store.changes_of_fleet(fleet_id)
        known = roll.members
        stale = [run_id for run_id, number in changes if run_id not in known or known[run_id].run.changes != number]
        rows = {row.run_id: row for row in self._store.some(stale)}
        records = self._store.records(stale)
        for run_id, row in rows.items():
            its = tuple(records.get(run_id, ()))
            known[run_id] = Member(replace(row, document=None), its, None, row.state is not None)
        roll.members = {run_id: known[run_id] for run_id, _ in changes if run_id in known}
        roll.signature, roll.next_look = signature, 0.0

    def _look_at(self, roll: _Roll, members: Sequence[Member]) -> None:
        """A member whose run has ended stays as it is until a task joins it, which `_reload` sees."""
        going_on = [each for each in members if each.facts is None or each.facts.is_live]
        statuses = self._installs.statuses([record.task_id for each in going_on for record in each.records])
        for each in going_on:
            roll.members[each.run.run_id] = _looked_at(each, statuses)


def _looked_at(member: Member, statuses: Mapping[str, InstallStatus]) -> Member:
    found = [(each, statuses[each.task_id]) for each in member.records if each.task_id in statuses]
    if not found:  # all forgotten since they were listed
        return replace(member, facts=None)
    seen = tuple(status.snapshot.revision for _, status in found)
    if member.facts is not None and member.facts.seen == seen:
        return member
    return replace(member, facts=_facts(member.run, Tasks([Task(*each) for each in found]), seen))


def _facts(run: RunRow, tasks: Tasks, seen: tuple[int, ...]) -> Facts:
    last = next((task for task in reversed(tasks.all) if task.record.fleet_id is not None), tasks.last)
    snapshot = last.status.snapshot
    newest = Newest(last.task_id, snapshot.state, snapshot.percent, counts.count(snapshot))
    can_retry = any(action["name"] == "retry" for action in view.actions_of_run(tasks, None))
    return Facts(view.row_json(run, tasks, None), tasks.rows, newest, seen, can_retry)
