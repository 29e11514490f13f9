"""The runs in the database: which there are, newest first, and which installs each consists of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, bindparam, func, or_, select, tuple_, update
from sqlalchemy.sql import Select

from app.domain.errors import InvalidRequest
from app.domain.record import InstallRecord
from app.storage.install_store import listed_of_runs
from app.storage.schema import installs, runs
from app.storage.transactions import reading, writing

_ROWS = select(runs)
_END = update(runs).where(runs.c.run_id == bindparam("of_run"), runs.c.changes == bindparam("of_changes"))
"""Executed with the columns that it sets."""
_AT_ONCE = 500
"""How many names a statement has at most."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as storage keeps it; app/storage/schema.py says what the columns mean."""

    run_id: str
    kind: str
    created_at: float
    instance: str | None
    fleet_id: str | None
    state: str | None
    tone: str | None
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
    searched; `states` and `tones`: how they ended; all where there are none."""

    kind: str | None = None
    instance: str | None = None
    text: str | None = None
    states: tuple[str, ...] = ()
    tones: tuple[str, ...] = ()

    def has(self, summary: Mapping[str, str]) -> bool:
        """Whether a run that stands like this is one of them."""
        is_kind = not self.states or summary["kind"] in self.states
        return is_kind and (not self.tones or summary["tone"] in self.tones)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended, as it is to be kept: `summary` and `document` for lists, `search`: what is searched."""

    row: RunRow
    summary: Mapping[str, str]
    search: str
    document: dict[str, Any]


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

    def some(self, run_ids: Collection[str]) -> list[RunRow]:
        """Those of these runs that there are."""
        wanted = list(run_ids)
        parts = [wanted[first : first + _AT_ONCE] for first in range(0, len(wanted), _AT_ONCE)]
        return [row for part in parts for row in self._rows(_ROWS.where(runs.c.run_id.in_(part)))]

    def records(self, run_ids: Collection[str]) -> dict[str, list[InstallRecord]]:
        """The installs of these runs, oldest first, without their snapshots."""
        found: dict[str, list[InstallRecord]] = {}
        wanted = list(run_ids)
        for first in range(0, len(wanted), _AT_ONCE):
            for record in listed_of_runs(self._engine, wanted[first : first + _AT_ONCE]):
                found.setdefault(record.run_id or record.task_id, []).append(record)
        return found

    def signature(self, fleet_id: str) -> tuple[int, int]:
        """Two numbers of a fleet that change when a task joins it or is forgotten."""
        tasks = select(func.count()).select_from(installs).where(installs.c.fleet_id == fleet_id).scalar_subquery()
        with reading(self._engine) as connection:
            row = connection.execute(select(runs.c.changes, tasks).where(runs.c.run_id == fleet_id)).first()
        return (0, 0) if row is None else (row[0], row[1])

    def changes_of_fleet(self, fleet_id: str) -> list[tuple[str, int]]:
        """The runs of a fleet in the order of its instances, each with what changes when a task joins it."""
        place = installs.c.task_id == runs.c.run_id
        query = select(runs.c.run_id, runs.c.changes).outerjoin(installs, place).where(runs.c.fleet_id == fleet_id)
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(installs.c.fleet_position, runs.c.run_id))
            return [(row.run_id, row.changes) for row in found]

    def open(self) -> list[RunRow]:
        """Those that go on, or whose end is yet to be looked at, newest first; without the instances of such fleets."""
        fleet = runs.alias()
        open_fleets = select(fleet.c.run_id).where(fleet.c.state.is_(None), fleet.c.kind == "fleet")
        alone = or_(runs.c.fleet_id.is_(None), runs.c.fleet_id.not_in(open_fleets))
        return self._rows(_newest_first(_ROWS.where(runs.c.state.is_(None), alone)))

    def ended(self, wanted: RunFilter, limit: int, before: str | None = None) -> list[RunRow]:
        """Up to `limit` ended runs, newest first. `before`: the cursor of the last one of the page before."""
        query = _newest_first(_ROWS.where(runs.c.state.is_not(None))).limit(limit)
        query = query.where(runs.c.fleet_id.is_(None)) if wanted.instance is None else query
        for column, value in ((runs.c.kind, wanted.kind), (runs.c.instance, wanted.instance)):
            query = query if value is None else query.where(column == value)
        if wanted.states:
            query = query.where(runs.c.state.in_(wanted.states))
        if wanted.tones:
            query = query.where(runs.c.tone.in_(wanted.tones))
        if wanted.text is not None:
            query = query.where(runs.c.search.contains(wanted.text.lower(), autoescape=True))
        if before is not None:
            query = query.where(tuple_(runs.c.created_at, runs.c.run_id) < tuple_(*place_of(before)))
        return self._rows(query)

    def close(self, ends: Sequence[RunEnd]) -> None:
        """Keeps how runs ended, but those that something joined since their `row` was read."""
        values = [
            {
                "of_run": end.row.run_id,
                "of_changes": end.row.changes,
                "state": end.summary["kind"],
                "tone": end.summary["tone"],
                "search": end.search,
                "document": end.document,
            }
            for end in ends
        ]
        with writing(self._engine) as connection:
            connection.execute(_END, values)

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
