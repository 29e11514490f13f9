"""The runs of a service: one by any of its ids, and all of them in one list. Nothing here opens a connection."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.errors import RunNotFound, TaskNotFound
from app.domain.record import InstallRecord
from app.domain.run_rows import Rows
from app.domain.run_summary import Kind
from app.domain.workflow import Workflow
from app.storage.errors import StorageError
from app.storage.instance_store import InstanceStore
from app.storage.run_store import RunEnd, RunFilter, RunRow, RunStore, place_of
from app.storage.workflow_store import WorkflowStore
from app.sync.installs.service import Installs
from app.sync.runs import view
from app.sync.runs.chapters import chapters
from app.sync.runs.fleet_page import FleetPage, first_needing, kinds
from app.sync.runs.members import Member, Members
from app.sync.runs.parts import Task, Tasks
from app.sync.runs.shared import shared_view
from app.sync.workflow_executor import WorkflowExecutor

DOCUMENT = 1
"""Which form of a stored row this version writes; another is made again."""
_AT_ONCE = 250
"""How many ends are kept in one transaction: whoever has something to write waits no longer than that takes."""
_FLEET, _WORKFLOW = "fleet", "workflow"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list of runs is asked for."""

    filter: RunFilter = field(default_factory=RunFilter)
    in_progress: bool | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """One run as it is now. `row_json`: as lists have it; `children`: the runs of a fleet."""

    row: RunRow
    row_json: Mapping[str, Any]
    rows: Rows
    tasks: Tasks | None = None
    workflow: Workflow | None = None
    children: Sequence[Member] = ()


class Runs:
    """Every method may be called from any thread; StorageError when the database fails."""

    def __init__(
        self,
        installs: Installs,
        workflows: WorkflowExecutor,
        *,
        workflow_store: WorkflowStore,
        instances: InstanceStore,
        store: RunStore,
        members: Members,
    ) -> None:
        self._installs = installs
        self._workflows = workflows
        self._workflow_store = workflow_store
        self._instances = instances
        self._store = store
        self._members = members

    def root_of(self, any_id: str) -> tuple[str, str]:
        """The run that this id is of, and its kind. Raises RunNotFound."""
        row = self._found(any_id)
        return row.run_id, row.kind

    def run(self, any_id: str, page: FleetPage | None = None) -> dict[str, Any]:
        """One run with its chapters and what can be done now. `page`: which instances of a fleet. Raises
        RunNotFound."""
        [run] = self._read([self._found(any_id)])
        tasks, workflow = run.tasks, run.workflow
        state = self._workflows.state(run.row.run_id) if workflow else None
        newest = (tasks.live or tasks.last) if tasks else None
        return {
            **run.row_json,
            "current": newest.task_id if newest else None,
            "rows_of": tasks.with_rows.task_id if tasks else None,
            "question": view.question_json(tasks, state),
            "chapters": chapters(tasks, workflow),
            "workflow": state,
            "actions": _actions(run),
            **(self._instances_of(run, page or FleetPage()) if run.row.kind == _FLEET else _NO_INSTANCES),
        }

    def _instances_of(self, run: _Run, page: FleetPage) -> dict[str, Any]:
        listed, about = page.of(run.children)
        total, first = first_needing(run.children)
        fresh = {each.run.run_id: each for each in self._members.fresh(run.row.run_id, [*listed, *first])}
        return {
            "runs": [_row(fresh[each.run.run_id]) for each in listed],
            "page": about,
            "kinds": kinds(run.children),
            "needing": {"total": total, "runs": [_row(fresh[each.run.run_id]) for each in first]},
        }

    def shared(self, any_id: str) -> dict[str, Any]:
        """A run as whoever has its status link sees it. Raises RunNotFound."""
        [run] = self._read([self._found(any_id)])
        children = [self._tasks(member.records) for member in run.children]
        return shared_view(run.row_json, [run.tasks, *children])

    def rows(self, run_ids: Collection[str]) -> dict[str, Mapping[str, Any]]:
        """Those of these runs that there are, as lists have them."""
        return self._documents(self._store.some(run_ids))

    def page(self, asked: Asked) -> tuple[list[Mapping[str, Any]], str | None]:
        """A page of runs, newest first, and the cursor of the next page if there is one. Raises InvalidRequest."""
        before = None if asked.cursor is None else place_of(asked.cursor)
        going_on = [run for run in self.settle() if _fits(run, asked, before)]
        ended: list[RunRow] = []
        if asked.in_progress is not True:
            ended = self._store.ended(asked.filter, asked.limit + 1, asked.cursor)
        rows = {run.row.run_id: run.row for run in going_on} | {row.run_id: row for row in ended}
        found = sorted(rows.values(), key=lambda row: (row.created_at, row.run_id), reverse=True)
        page = found[: asked.limit]
        more = page[-1].cursor if len(found) > asked.limit and page else None
        live = {run.row.run_id: run.row_json for run in going_on}
        documents = live | self._documents([row for row in page if row.run_id not in live])
        return [documents[row.run_id] for row in page], more

    def settle(self) -> list[_Run]:
        """The runs that go on, newest first, and those whose end could not be kept. How others have ended since
        somebody looked is kept now."""
        left, refused = [], False
        for run in reversed(self._read(self._store.open())):  # packs are known as the newest run has left them
            parts = [_child(each) for each in run.children if each.facts and not each.is_kept]
            ended = [each for each in (*parts, run) if not each.row_json["in_progress"]]
            refused = refused or (bool(ended) and not self._close(ended))  # each try may wait for the database
            left += [each for each in (*parts, run) if refused or each.row_json["in_progress"]]
        return left[::-1]

    def look_at(self, task_id: str) -> None:
        """A task has ended: how its run ended is kept, if it has; else whoever lists the runs does that."""
        try:
            row = self._store.find(task_id)
            for run in self._read([row]) if row else ():
                if row and row.state is None and not run.row_json["in_progress"]:
                    self._close([run])
        except StorageError as exc:
            _log.error("task %s: how its run ended could not be kept: %s", task_id, exc)

    def works_on(self, instance: str) -> bool:
        """Whether a run goes on at its address: by whichever user, and also one that only connects yet."""
        name = view.name_of(instance)
        live = [run.row_json["machine"] for run in self.settle() if run.row_json["in_progress"]]
        return any(each["instance"] == instance or each["name"] in (name, name.removesuffix(":22")) for each in live)

    # -- reading ----------------------------------------------------------------------------------------------------

    def _found(self, any_id: str) -> RunRow:
        row = self._store.find(any_id)
        if row is None:
            raise RunNotFound(field="run_id")
        return row

    def _read(self, rows: Sequence[RunRow]) -> list[_Run]:
        """These runs as they are now."""
        records = self._store.records({row.run_id for row in rows if row.kind != _FLEET})
        return [
            _fleet(row, self._members.of(row.run_id))
            if row.kind == _FLEET
            else self._one(row, records.get(row.run_id, ()))
            for row in rows
        ]

    def _one(self, row: RunRow, records: Sequence[InstallRecord]) -> _Run:
        tasks = self._tasks(records)
        workflow = self._workflow_store.get(row.run_id) if row.kind == _WORKFLOW else None
        rows = tasks.rows if tasks else Rows()
        return _Run(row, view.row_json(row, tasks, workflow), rows, tasks, workflow)

    def _tasks(self, records: Sequence[InstallRecord]) -> Tasks | None:
        found = [task for task in map(self._task, records) if task is not None]
        return Tasks(found) if found else None

    def _task(self, record: InstallRecord) -> Task | None:
        try:
            return Task(record, self._installs.status(record.task_id))
        except TaskNotFound:  # forgotten since it was listed
            return None

    # -- what is kept -----------------------------------------------------------------------------------------------

    def _close(self, ended: Sequence[_Run]) -> bool:
        """Keeps how runs ended, and which node packs their machines have now; whether it could. Lists are right
        without it, only slower."""
        try:
            for first in range(0, len(ended), _AT_ONCE):
                self._store.close([_end_of(run) for run in ended[first : first + _AT_ONCE]])
            for run in ended:
                made = run.row_json
                if made["summary"]["kind"] != Kind.PLANNED and run.rows.names:
                    self._instances.change_packs(made["machine"]["instance"], run.rows.ready, run.rows.names)
        except StorageError as exc:
            _log.error("run %s: how it ended could not be kept: %s", ended[-1].row.run_id, exc)
            return False
        for run in ended:
            if run.row.fleet_id is not None:
                self._members.kept(run.row.fleet_id, run.row)
        return True

    def _documents(self, rows: Sequence[RunRow]) -> dict[str, Mapping[str, Any]]:
        """These runs as lists have them: as it was kept; made now where nothing was."""
        kept = {row.run_id: row.document["row"] for row in rows if _is_usable(row) and row.document}
        made = self._read([row for row in rows if row.run_id not in kept])
        for run in made:
            if run.row.state is not None:
                self._close([run])
        return kept | {run.row.run_id: run.row_json for run in made}


def _end_of(run: _Run) -> RunEnd:
    made = run.row_json
    texts = (made["machine"]["name"], made["machine"]["instance"], made["machine"]["ssh_connection"])
    search = " ".join(str(each) for each in (*texts, made["list"]["label"], run.row.run_id) if each).lower()
    return RunEnd(run.row, made["summary"], search, {"form": DOCUMENT, "row": made})


def _is_usable(row: RunRow) -> bool:
    kept = row.document
    return row.state is not None and isinstance(kept, Mapping) and kept.get("form") == DOCUMENT and "row" in kept


_NO_INSTANCES = {"runs": None, "page": None, "kinds": None, "needing": None}


def _fleet(row: RunRow, members: Sequence[Member]) -> _Run:
    made = view.fleet_json(row, [(each.facts.row, each.facts.rows) for each in members if each.facts])
    return _Run(row, made, Rows(), children=members)


def _child(member: Member) -> _Run:
    return _Run(member.run, _row(member), member.facts.rows if member.facts else Rows())


def _row(member: Member) -> Mapping[str, Any]:
    return member.facts.row if member.facts else {}


def _actions(run: _Run) -> list[dict[str, object]]:
    if run.row.kind != _FLEET:
        return view.actions_of_run(run.tasks, run.workflow)
    facts = [each.facts for each in run.children if each.facts]
    again = any(each.can_retry or each.kind == Kind.STOPPED for each in facts)
    return view.fleet_actions(bool(run.row_json["in_progress"]), retry=again)


def _fits(run: _Run, asked: Asked, before: tuple[float, str] | None) -> bool:
    """Whether a list has a run that is not in its table yet."""
    wanted, row, made = asked.filter, run.row, run.row_json
    instance = made["machine"]["instance"]
    if asked.in_progress not in (None, made["in_progress"]) or (
        before is not None and (row.created_at, row.run_id) >= before
    ):
        return False
    if (row.fleet_id is not None and wanted.instance is None) or wanted.instance not in (None, instance):
        return False
    return wanted.kind in (None, row.kind) and wanted.has(made["summary"]) and _has(run, wanted)


def _has(run: _Run, wanted: RunFilter) -> bool:
    machine = run.row_json["machine"]
    texts = (machine["name"], machine["instance"], machine["ssh_connection"], run.row_json["list"]["label"])
    return wanted.text is None or any(wanted.text.lower() in str(each).lower() for each in (*texts, run.row.run_id))
