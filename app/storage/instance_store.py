"""The instances in the database that are remembered: those that runs worked on, and those whose host key is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, delete, select, update

from app.storage.schema import host_keys, instances
from app.storage.transactions import reading, writing


@dataclass(frozen=True, slots=True)
class RememberedInstance:
    """One instance. `instance`: its name as runs have it; `packs`: names of the node packs that were ready there."""

    instance_id: str
    instance: str
    host: str | None
    port: int | None
    ssh_connection: str | None
    added_at: float
    last_run_id: str | None
    packs: list[Any] | None


class InstanceStore:
    """The instances of one database. Every method may be called from any thread; StorageError when it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[RememberedInstance]:
        """Every one, the newest first."""
        query = select(instances).order_by(instances.c.added_at.desc(), instances.c.instance_id)
        with reading(self._engine) as connection:
            return [RememberedInstance(**row) for row in connection.execute(query).mappings()]

    def get(self, instance_id: str) -> RememberedInstance | None:
        """One, or None."""
        query = select(instances).where(instances.c.instance_id == instance_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else RememberedInstance(**row)

    def forget(self, known: RememberedInstance) -> int:
        """Removes it and the host keys of its address; how many keys these were."""
        with writing(self._engine) as connection:
            connection.execute(delete(instances).where(instances.c.instance_id == known.instance_id))
            address = (host_keys.c.host == known.host, host_keys.c.port == known.port)
            return connection.execute(delete(host_keys).where(*address)).rowcount

    def keep_packs(self, instance: str, packs: list[str]) -> None:
        """The node packs that are known to be ready there."""
        with writing(self._engine) as connection:
            connection.execute(update(instances).where(instances.c.instance == instance).values(packs=packs))
