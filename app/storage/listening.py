"""A connection of PostgreSQL's that listens. Only imported where the database is one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from app.storage.errors import StorageError
from app.storage.transactions import place_of

_CONNECT_SECONDS = 5
_HOLDING = {
    "connect_timeout": _CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
    "application_name": "nodeferry-listener",
}
"""A line that was cut without a word is noticed within some seconds."""


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
        with _told(self._place):
            found = self._connection.notifies(timeout=seconds, stop_after=1)
            return [Note(each.channel, each.payload) for each in found]


@contextmanager
def listening(engine: Engine, channels: Collection[str]) -> Iterator[Listening]:
    """Listens while the block runs, on a connection of its own. Raises StorageError."""
    place = place_of(engine)
    _, arguments = engine.dialect.create_connect_args(engine.url)
    with _told(place):
        connection = psycopg.connect(**{**_HOLDING, **arguments}, autocommit=True)
    with connection:
        with _told(place):
            for channel in channels:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        yield Listening(connection, place)


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        words = str(exc).strip().splitlines() or [type(exc).__name__]
        raise StorageError(f"The database {place} reports an error: {words[0]}.", code="database_unavailable") from exc
