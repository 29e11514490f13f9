"""Pinned host keys in the database."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, or_, select
from sqlalchemy.sql import Select

from app.domain.errors import TooManyHostKeys
from app.domain.hostkeys import HostKey
from app.domain.limits import MAX_HOST_KEYS
from app.storage.run_rows import note_host_key
from app.storage.schema import host_keys
from app.storage.transactions import adding, reading, writing

_NAMES = tuple(f.name for f in fields(HostKey))
_KEYS = select(*(host_keys.c[name] for name in _NAMES)).order_by(host_keys.c.id)


class DatabasePins:
    """HostKeyPins that outlive the service. Every method raises StorageError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, host: str, port: int) -> list[HostKey]:
        """The keys pinned for this address, oldest first."""
        return self._keys(_of(host, port))

    def add_first(self, key: HostKey) -> list[HostKey]:
        """Pin `key` unless the address has a key already; the keys that it has then. One transaction: of several
        connections that meet an address for the first time, one pins its key, and all see that one. Raises
        TooManyHostKeys."""
        with adding(self._engine) as connection:
            known = _read(connection, _of(key.host, key.port))
            if known:
                return known
            _add(connection, key)
        return [key]

    def replace(self, key: HostKey) -> None:
        """Pin `key` in place of the others of its address, in one transaction; if it is pinned already, it stays as it
        is. Raises TooManyHostKeys."""
        others = (
            host_keys.c.host == key.host,
            host_keys.c.port == key.port,
            or_(host_keys.c.key_type != key.key_type, host_keys.c.key_base64 != key.key_base64),
        )
        with adding(self._engine) as connection:
            connection.execute(delete(host_keys).where(*others))
            if not _read(connection, _of(key.host, key.port)):
                _add(connection, key)

    def forget(self, host: str, port: int) -> int:
        """Unpin every key of this address; how many there were."""
        here = (host_keys.c.host == host, host_keys.c.port == port)
        with writing(self._engine) as connection:
            return connection.execute(delete(host_keys).where(*here)).rowcount

    def all(self) -> list[HostKey]:
        """Every pinned key, oldest first."""
        return self._keys(_KEYS)

    def _keys(self, query: Select[Any]) -> list[HostKey]:
        with reading(self._engine) as connection:
            return _read(connection, query)


def _add(connection: Connection, key: HostKey) -> None:
    if connection.execute(select(func.count()).select_from(host_keys)).scalar_one() >= MAX_HOST_KEYS:
        raise TooManyHostKeys
    connection.execute(insert(host_keys), {name: getattr(key, name) for name in _NAMES})
    note_host_key(connection, key.host, key.port, key.added_at)


def _of(host: str, port: int) -> Select[Any]:
    return _KEYS.where(host_keys.c.host == host, host_keys.c.port == port)


def _read(connection: Connection, query: Select[Any]) -> list[HostKey]:
    return [HostKey(**row) for row in connection.execute(query).mappings()]
