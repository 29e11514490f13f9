"""The runs of a service: one by any of its ids, and all of them in one list. Nothing here opens a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.errors import RunNotFound, TaskNotFound
from app.domain.run_rows import Rows
from app.domain.workflow import Workflow
from app.storage.run_store import RunFilter, RunRow, RunStore, place_of
from app.storage.workflow_store import WorkflowStore
from app.sync.installs.service import Installs
from app.sync.runs import view
from app.sync.runs.chapters import chapters
from app.sync.runs.parts import Task, Tasks
from app.sync.workflow_executor import WorkflowExecutor

DOCUMENT = 1
"""Which form of a stored row this version writes; another is made again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list of runs is asked for."""

    filter: RunFilter = RunFilter()
    in_progress: bool | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    row: RunRow
    tasks: Tasks | None
    workflow: Workflow | None


class Runs:
    """Every method may be called from any thread; StorageError when the database fails."""

    def __init__(
        self, installs: Installs, workflows: WorkflowExecutor, workflow_store: WorkflowStore, store: RunStore
    ) -> None:
        self._installs = installs
        self._workflows = workflows
        self._workflow_store = workflow_store
        self._store = store

    def root_of(self, any_id: str) -> tuple[str, str]:
        """The run that this id is of, and its kind. Raises RunNotFound."""
        row = self._found(any_id)
        return row.run_id, row.kind

    def run(self, any_id: str) -> dict[str, Any]:
        """One run with its chapters and what can be done now. Raises RunNotFound."""
        row = self._found(any_id)
        if row.kind == "fleet":
            return self._fleet(row)
        run = self._read(row)
        state = self._workflows.state(row.run_id) if run.workflow else None
        live = run.tasks.live if run.tasks else None
        newest = run.tasks.last.task_id if run.tasks else None
        return {
            **view.row_json(row, run.tasks, run.workflow),
            "current": live.task_id if live else newest,
            "rows_of": run.tasks.with_rows.task_id if run.tasks else None,
            "question": view.question_json(run.tasks, state),
            "chapters": chapters(run.tasks, run.workflow),
            "workflow": state,
            "actions": view.actions_json_of(row, run.tasks, run.workflow),
            "runs": None,
        }

    def list(self, asked: Asked) -> tuple[list[dict[str, Any]], str | None]:
        """A page of runs, newest first, and the cursor of the next page if there is one. Raises InvalidRequest."""
        rows = [(row, self._row_json(row)) for row in self._open(asked)]
        found = [(row, shown) for row, shown in rows if _fits(row, shown, asked)]
        if asked.in_progress is not True:
            ended = self._store.ended(asked.filter, asked.limit + 1, asked.cursor)
            known = {row.run_id for row, _ in found}
            found += [(row, self._document(row)) for row in ended if row.run_id not in known]
        found.sort(key=lambda pair: (pair[0].created_at, pair[0].run_id), reverse=True)
        page = found[: asked.limit]
        more = page[-1][0].cursor if len(found) > asked.limit and page else None
        return [shown for _, shown in page], more

    def row(self, run_id: str) -> dict[str, Any]:
        """One run as lists show it. Raises RunNotFound."""
        row = self._found(run_id)
        return self._row_json(row) if row.state is None else self._document(row)

    def works_on(self, instance: str) -> bool:
        """Whether a run goes on there."""
        rows = [row for row in self._store.open() if row.kind != "fleet"]
        return any(
            shown["in_progress"] and shown["machine"]["instance"] == instance for shown in map(self._row_json, rows)
        )

    # -- reading ----------------------------------------------------------------------------------------------------

    def _found(self, any_id: str) -> RunRow:
        row = self._store.find(any_id)
        if row is None:
            raise RunNotFound(field="run_id")
        return row

    def _read(self, row: RunRow) -> _Run:
        """The run's tasks and its workflow; those that are forgotten are left out."""
        found = []
        for task_id in self._store.task_ids(row.run_id):
            try:
                found.append(Task(*self._installs.look(task_id)))
            except TaskNotFound:
                continue
        workflow = self._workflow_store.get(row.run_id) if row.kind == "workflow" else None
        return _Run(row, Tasks(found) if found else None, workflow)

    def _fleet(self, row: RunRow) -> dict[str, Any]:
        children = [self._read(child) for child in self._store.of_fleet(row.run_id)]
        rows = [_with_rows(run) for run in children]
        actions = [view.actions_json_of(run.row, run.tasks, None) for run in children]
        shown = view.fleet_json(row, rows)
        return {
            **shown,
            "current": None,
            "rows_of": None,
            "question": None,
            "chapters": [],
            "workflow": None,
            "actions": view.fleet_actions(bool(shown["in_progress"]), actions),
            "runs": [child for child, _ in rows],
        }

    def _row_json(self, row: RunRow) -> dict[str, Any]:
        if row.kind == "fleet":
            return view.fleet_json(row, [_with_rows(self._read(child)) for child in self._store.of_fleet(row.run_id)])
        run = self._read(row)
        return view.row_json(row, run.tasks, run.workflow)

    def _open(self, asked: Asked) -> list[RunRow]:
        """Those that go on, as the list is asked for; how the others have ended is kept."""
        found = []
        for row in self._store.open():
            shown = self._row_json(row)
            if shown["in_progress"]:
                found.append(row)
            else:
                self._close(row, shown)
        before = place_of(asked.cursor) if asked.cursor is not None else None
        return [row for row in found if before is None or (row.created_at, row.run_id) < before]

    def _close(self, row: RunRow, shown: dict[str, Any]) -> None:
        words = (shown["machine"]["name"], shown["machine"]["instance"], shown["machine"]["ssh_connection"])
        search = " ".join(str(each) for each in (*words, shown["list"]["label"], row.run_id) if each).lower()
        self._store.close(row, str(shown["summary"]["kind"]), search, {"form": DOCUMENT, "row": shown})

    def _document(self, row: RunRow) -> dict[str, Any]:
        """The row of an ended run, as it was kept."""
        kept = row.document if isinstance(row.document, Mapping) else {}
        if kept.get("form") == DOCUMENT and isinstance(kept.get("row"), dict):
            return dict(kept["row"])
        shown = self._row_json(row)
        self._close(row, shown)
        return shown


def _with_rows(run: _Run) -> tuple[dict[str, Any], Rows]:
    return view.row_json(run.row, run.tasks, None), run.tasks.rows if run.tasks else Rows()


def _fits(row: RunRow, shown: Mapping[str, Any], asked: Asked) -> bool:
    """Whether a list has a run that goes on."""
    wanted = asked.filter
    if asked.in_progress is False or (row.fleet_id is not None and wanted.instance is None):
        return False
    if wanted.kind not in (None, row.kind) or wanted.instance not in (None, shown["machine"]["instance"]):
        return False
    if wanted.state not in (None, shown["summary"]["kind"]):
        return False
    names = (shown["machine"]["name"], shown["machine"]["ssh_connection"], shown["list"]["label"], row.run_id)
    return wanted.text is None or any(wanted.text.lower() in str(name).lower() for name in names)
