"""Pinned host keys in the database."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import Select

from app.domain.errors import TooManyHostKeys
from app.domain.hostkeys import HostKey
from app.domain.limits import MAX_HOST_KEYS
from app.storage.schema import host_keys
from app.storage.transactions import reading, writing

_NAMES = tuple(f.name for f in fields(HostKey))
_KEYS = select(*(host_keys.c[name] for name in _NAMES)).order_by(host_keys.c.id)


class DatabasePins:
    """HostKeyPins that outlive the service. Every method raises StorageError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, host: str, port: int) -> list[HostKey]:
        """The keys pinned for this address, oldest first."""
        return self._keys(_KEYS.where(host_keys.c.host == host, host_keys.c.port == port))

    def add(self, key: HostKey) -> None:
        """Pin `key`; one that is pinned already (same host, port, key_type and key_base64) stays as it is. Raises
        TooManyHostKeys."""
        values = {name: getattr(key, name) for name in _NAMES}
        with writing(self._engine) as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(host_keys), values)
            except IntegrityError:
                return  # pinned already
            if connection.execute(select(func.count()).select_from(host_keys)).scalar_one() > MAX_HOST_KEYS:
                raise TooManyHostKeys

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
            return [HostKey(**row) for row in connection.execute(query).mappings()]
