"""A connection of PostgreSQL's that listens. Only imported where the database is one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from app.protocol.snapshot import Problem
from app.storage.errors import StorageError
from app.storage.postgresql import CONNECTION, problem_of
from app.storage.postgresql_address import arguments
from app.storage.transactions import place_of

NAME = "nodeferry-listener"
"""Of the connection, in pg_stat_activity."""


@dataclass(frozen=True, slots=True)
class Note:
    """One notification."""

    channel: str
    payload: str


class Listening:
    """A connection that listens. For one thread."""

    def __init__(self, connection: psycopg.Connection[Any], place: str) -> None:
        self._connection = connection
        self._place = place

    def receive(self, seconds: float) -> list[Note]:
        """What has come, at once if something has; nothing after so many seconds. Raises StorageError when the
        connection is lost, and with it what was said meanwhile."""
        with told(self._place):
            found = self._connection.notifies(timeout=seconds, stop_after=1)
            return [Note(each.channel, each.payload) for each in found]


@contextmanager
def listening(engine: Engine, channels: Collection[str]) -> Iterator[Listening]:
    """Listens while the block runs, on a connection of its own. Raises StorageError."""
    place = place_of(engine)
    with closing(connection_of(engine, NAME)) as connection:
        with told(place):
            for channel in channels:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        yield Listening(connection, place)


def connection_of(engine: Engine, name: str) -> psycopg.Connection[Any]:
    """A connection besides the pool's, without transactions. `name`: in pg_stat_activity. Raises StorageError."""
    with told(place_of(engine)):
        return psycopg.connect(**{**arguments(engine.url), **CONNECTION, "application_name": name}, autocommit=True)


@contextmanager
def told(place: str) -> Iterator[None]:
    """Raises StorageError for what psycopg raises."""
    try:
        yield
    except psycopg.Error as exc:
        problem = problem_of(exc) or Problem("database_unavailable", "The database {where} reports an error.")
        raise StorageError(problem.message.format(where=place), hint=problem.hint, code=problem.code) from exc
