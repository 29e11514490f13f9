"""The workflows in the database: each a document that its one writer replaces, guarded by its revision."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.sql import Select

from app.domain.errors import WorkflowConflict
from app.domain.workflow import ENDED_WORKFLOW, Workflow
from app.storage.schema import workflows
from app.storage.transactions import reading, writing

_NEWEST_FIRST = (workflows.c.created_at.desc(), workflows.c.workflow_id.desc())


class WorkflowStore:
    """Every method may be called from any thread, and raises StorageError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, workflow: Workflow) -> None:
        """Stores a new workflow; it is on disk when this returns."""
        with writing(self._engine) as connection:
            connection.execute(insert(workflows), {**_columns(workflow), "created_at": workflow.created_at})

    def replace(self, workflow: Workflow) -> None:
        """Stores the next revision. Raises WorkflowConflict when somebody else has stored one meanwhile."""
        before = (workflows.c.workflow_id == workflow.workflow_id, workflows.c.revision == workflow.revision - 1)
        with writing(self._engine) as connection:
            if connection.execute(update(workflows).where(*before), _columns(workflow)).rowcount != 1:
                raise WorkflowConflict

    def get(self, workflow_id: str) -> Workflow | None:
        """The workflow, or None."""
        query = select(workflows.c.document).where(workflows.c.workflow_id == workflow_id)
        with reading(self._engine) as connection:
            document = connection.execute(query).scalar()
        return None if document is None else Workflow.of(document)

    def newest(self, limit: int) -> list[Workflow]:
        """The newest, newest first."""
        return self._all(select(workflows.c.document).order_by(*_NEWEST_FIRST).limit(limit))

    def unfinished(self) -> list[Workflow]:
        """Those that have not ended, oldest first."""
        ended = sorted(state.value for state in ENDED_WORKFLOW)
        query = select(workflows.c.document).where(workflows.c.state.not_in(ended))
        return self._all(query.order_by(workflows.c.created_at, workflows.c.workflow_id))

    def _all(self, query: Select[Any]) -> list[Workflow]:
        with reading(self._engine) as connection:
            return [Workflow.of(document) for document in connection.execute(query).scalars()]


def _columns(workflow: Workflow) -> dict[str, Any]:
    return {
        "workflow_id": workflow.workflow_id,
        "state": workflow.state.value,
        "revision": workflow.revision,
        "document": workflow.to_json(),
    }
