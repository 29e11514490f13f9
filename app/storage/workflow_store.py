"""The workflows in the database: each a document that its one writer replaces, guarded by its revision."""

from __future__ import annotations

import json
import logging
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Text, cast, func, insert, select, update
from sqlalchemy.sql import Select

from app.domain.errors import TooManyWorkflows, WorkflowConflict
from app.domain.limits import MAX_FLEETS
from app.domain.workflow import ENDED_WORKFLOW, Workflow
from app.storage.run_rows import note_group
from app.storage.schema import workflows
from app.storage.shared_queue import enqueue_workflow
from app.storage.transactions import adding, reading, writing

_log = logging.getLogger(__name__)
_ENDED = sorted(state.value for state in ENDED_WORKFLOW)
_NEWEST_FIRST = (workflows.c.created_at.desc(), workflows.c.workflow_id.desc())


class WorkflowExists(Exception):
    """The idempotency key was used for the workflow `workflow` a moment ago."""

    def __init__(self, workflow: Workflow) -> None:
        super().__init__(workflow.workflow_id)
        self.workflow = workflow


class WorkflowStore:
    """Every method may be called from any thread, and raises StorageError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, workflow: Workflow, *, same_key_since: float = float("inf"), most: int = 0) -> None:
        """Stores a new workflow; it is on disk when this returns. Raises WorkflowExists when its idempotency key was
        used after `same_key_since` (Unix seconds), TooManyWorkflows when `most` (0: any number) have not ended, or too
        many were started since then."""
        key = workflow.idempotency_key
        with adding(self._engine) as connection:
            found = None if key is None else _with_key(connection, key, same_key_since)
            if found is not None:
                raise WorkflowExists(found)
            if most and _count(connection, workflows.c.state.not_in(_ENDED)) >= most:
                raise TooManyWorkflows
            if _count(connection, workflows.c.created_at > same_key_since) >= MAX_FLEETS:
                raise TooManyWorkflows("Too many workflows were started in the last 24 hours.")
            connection.execute(insert(workflows), {**_values(workflow), "created_at": workflow.created_at})
            note_group(connection, workflow.workflow_id, "workflow", workflow.created_at)
            enqueue_workflow(connection, workflow.workflow_id)

    def replace(self, workflow: Workflow) -> None:
        """Stores the next revision. Raises WorkflowConflict when somebody else has stored one meanwhile."""
        before = (workflows.c.workflow_id == workflow.workflow_id, workflows.c.revision == workflow.revision - 1)
        with writing(self._engine) as connection:
            if connection.execute(update(workflows).where(*before), _values(workflow)).rowcount != 1:
                raise WorkflowConflict

    def get(self, workflow_id: str) -> Workflow | None:
        """The workflow, or None."""
        query = select(workflows.c.document).where(workflows.c.workflow_id == workflow_id)
        with reading(self._engine) as connection:
            document = connection.execute(query).scalar()
        return None if document is None else _readable(document)

    def newest(self, limit: int) -> list[Workflow]:
        """The newest, newest first."""
        return self._all(select(workflows.c.document).order_by(*_NEWEST_FIRST).limit(limit))

    def unfinished(self) -> list[Workflow]:
        """Those that have not ended, oldest first."""
        query = select(workflows.c.document).where(workflows.c.state.not_in(_ENDED))
        return self._all(query.order_by(workflows.c.created_at, workflows.c.workflow_id))

    def _all(self, query: Select[Any]) -> list[Workflow]:
        with reading(self._engine) as connection:
            found = [_readable(document) for document in connection.execute(query).scalars()]
        return [workflow for workflow in found if workflow is not None]


def _with_key(connection: Connection, key: str, since: float) -> Workflow | None:
    """The newest of that key. The database looks for its text only: one record that is no strict JSON, as an older
    version could write it, would be its error."""
    written = cast(workflows.c.document, Text).contains(json.dumps(key), autoescape=True)
    query = select(workflows.c.document).where(workflows.c.created_at > since, written).order_by(*_NEWEST_FIRST)
    found = map(_readable, connection.execute(query).scalars())
    return next((each for each in found if each is not None and each.idempotency_key == key), None)


def _count(connection: Connection, which: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).select_from(workflows).where(which)).scalar_one())


def _readable(document: Any) -> Workflow | None:
    """The workflow; None, and a line in the log, for one that this version cannot read: the others are still there."""
    try:
        return Workflow.of(document)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        _log.error("a workflow's record cannot be read: %r", exc)
        return None


def _values(workflow: Workflow) -> dict[str, Any]:
    return {
        "workflow_id": workflow.workflow_id,
        "state": workflow.state.value,
        "revision": workflow.revision,
        "document": workflow.to_json(),
    }
