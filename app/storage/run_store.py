"""The runs in the database: which there are, newest first, and which installs each consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select, tuple_, update
from sqlalchemy.sql import Select

from app.domain.errors import InvalidRequest
from app.storage.schema import installs, runs
from app.storage.transactions import reading, writing

_ROWS = select(runs)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as storage keeps it; app/storage/schema.py says what the columns mean."""

    run_id: str
    kind: str
    created_at: float
    instance: str | None
    fleet_id: str | None
    state: str | None
    search: str
    document: dict[str, Any] | None
    changes: int

    @property
    def cursor(self) -> str:
        """Where a list goes on after this run: an opaque word that is safe in a URL."""
        return f"{self.created_at!r}_{self.run_id}"


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list has. `instance`: its name, whose runs in fleets are listed too; `text`: a part of what is
    searched; `state`: how they ended."""

    kind: str | None = None
    instance: str | None = None
    text: str | None = None
    state: str | None = None


class RunStore:
    """The runs of one database. Every method may be called from any thread; StorageError when it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, any_id: str) -> RunRow | None:
        """The run of this id, or that a task of this id is a part of."""
        with reading(self._engine) as connection:
            row = connection.execute(_ROWS.where(runs.c.run_id == any_id)).mappings().first()
            if row is None:
                of_task = select(installs.c.run_id).where(installs.c.task_id == any_id).scalar_subquery()
                row = connection.execute(_ROWS.where(runs.c.run_id == of_task)).mappings().first()
        return None if row is None else RunRow(**row)

    def task_ids(self, run_id: str) -> list[str]:
        """The installs of a run, oldest first."""
        query = select(installs.c.task_id).where(installs.c.run_id == run_id)
        with reading(self._engine) as connection:
            return list(connection.execute(query.order_by(installs.c.number, installs.c.created_at)).scalars())

    def of_fleet(self, fleet_id: str) -> list[RunRow]:
        """The runs of a fleet, oldest first."""
        return self._rows(_ROWS.where(runs.c.fleet_id == fleet_id).order_by(runs.c.created_at, runs.c.run_id))

    def open(self) -> list[RunRow]:
        """Those that go on, or whose end is yet to be looked at; newest first."""
        return self._rows(_newest_first(_ROWS.where(runs.c.state.is_(None))))

    def ended(self, wanted: RunFilter, limit: int, before: str | None = None) -> list[RunRow]:
        """Up to `limit` ended runs, newest first. `before`: the cursor of the last one of the page before."""
        query = _newest_first(_ROWS.where(runs.c.state.is_not(None))).limit(limit)
        query = query.where(runs.c.fleet_id.is_(None)) if wanted.instance is None else query
        for column, value in ((runs.c.kind, wanted.kind), (runs.c.instance, wanted.instance)):
            query = query if value is None else query.where(column == value)
        if wanted.state is not None:
            query = query.where(runs.c.state == wanted.state)
        if wanted.text is not None:
            query = query.where(runs.c.search.contains(wanted.text.lower(), autoescape=True))
        if before is not None:
            query = query.where(tuple_(runs.c.created_at, runs.c.run_id) < tuple_(*place_of(before)))
        return self._rows(query)

    def close(self, row: RunRow, state: str, search: str, document: dict[str, Any]) -> None:
        """Keeps how a run ended, unless something joined it since `row` was read."""
        same = (runs.c.run_id == row.run_id, runs.c.changes == row.changes)
        with writing(self._engine) as connection:
            connection.execute(update(runs).where(*same).values(state=state, search=search, document=document))

    def _rows(self, query: Select[Any]) -> list[RunRow]:
        with reading(self._engine) as connection:
            return [RunRow(**row) for row in connection.execute(query).mappings()]


def place_of(cursor: str) -> tuple[float, str]:
    """What a cursor says. Raises InvalidRequest for one that no list has given."""
    at, _, run_id = cursor.partition("_")
    try:
        place = float(at), run_id
    except ValueError:
        place = float("nan"), ""
    if not (place[0] == place[0] and abs(place[0]) < 1e15 and run_id):
        raise InvalidRequest("The cursor is not one that a list of runs has given.", field="cursor")
    return place


def _newest_first(query: Select[Any]) -> Select[Any]:
    return query.order_by(runs.c.created_at.desc(), runs.c.run_id.desc())
