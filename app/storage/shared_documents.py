"""Documents in PostgreSQL, shared by every process of a service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

from sqlalchemy import Engine, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from app.storage.documents import Changed
from app.storage.errors import StorageError
from app.storage.shared_tables import documents, revisions
from app.storage.transactions import place_of, reading, writing

_TRIES = 200
"""Each try that fails is another's change that was made."""
ASKED_ALWAYS = ("tokens.json", "sessions.json")
"""What nearly every request asks for the version of, several times."""
AGE_SECONDS = 0.05
"""How old such a version may be: a token that another process has revoked is good for so long."""
_VERSION = select(documents.c.revision).where(documents.c.name == bindparam("of"))
_VERSIONS = select(documents.c.name, documents.c.revision).where(documents.c.name.in_(ASKED_ALWAYS))
_READ = select(documents.c.revision, documents.c.content).where(documents.c.name == bindparam("of"))


class SharedDocuments:
    """See `Documents`."""

    is_common = True

    def __init__(self, opened: Callable[[], Engine]) -> None:
        """`opened`: opens the database, at the first use; these documents dispose of it."""
        self._opened = opened
        self._opening = threading.Lock()
        self._kept: Engine | None = None
        self._is_own = True
        self._versions = _Looked(self._look)

    @property
    def _engine(self) -> Engine:
        if self._kept is None:
            with self._opening:
                self._kept = self._kept or self._opened()
        return self._kept

    def version(self, name: str) -> Hashable | None:
        """See `Documents`."""
        if name in ASKED_ALWAYS:
            return self._versions.get().get(name)
        with reading(self._engine) as connection:
            return connection.execute(_VERSION, {"of": name}).scalar()

    def read(self, name: str) -> bytes | None:
        """See `Documents`."""
        with reading(self._engine) as connection:
            row = connection.execute(_READ, {"of": name}).first()
        return None if row is None else bytes(row.content)

    def write(self, name: str, content: bytes) -> None:
        """See `Documents`."""
        values = {"content": content, "written_at": time.time()}
        again = values | {"revision": revisions.next_value()}
        stored = insert(documents).values(name=name, **values)
        with writing(self._engine) as connection:
            connection.execute(stored.on_conflict_do_update(index_elements=["name"], set_=again))
        self._versions.forget()

    def change(self, name: str, changed: Changed, *, with_commands: bool = False) -> None:
        """See `Documents`."""
        del with_commands  # whoever has the database's address may change it
        for _ in range(_TRIES):
            with reading(self._engine) as connection:
                row = connection.execute(_READ, {"of": name}).first()
            content = changed(None if row is None else bytes(row.content))
            if content is None or self._replaced(name, None if row is None else row.revision, content):
                self._versions.forget()
                return
        raise StorageError(f"{self.place(name)} is changed all the time by others.", code="database_locked")

    def remove(self, name: str) -> None:
        """See `Documents`."""
        with writing(self._engine) as connection:
            connection.execute(delete(documents).where(documents.c.name == name))
        self._versions.forget()

    def newest_first(self, folder: str, ending: str) -> list[tuple[str, float]]:
        """See `Documents`."""
        inside = documents.c.name.startswith(f"{folder}/", autoescape=True)
        query = select(documents.c.name, documents.c.written_at).where(
            inside, documents.c.name.endswith(ending, autoescape=True)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(documents.c.written_at.desc())).all()
        return [(row.name, row.written_at) for row in rows]

    def place(self, name: str) -> str:
        """See `Documents`."""
        return f"The document {name} in {place_of(self._engine)}"

    def use(self, engine: Engine) -> None:
        """See `Documents`."""
        self.close()
        self._kept, self._is_own = engine, False

    def close(self) -> None:
        """See `Documents`."""
        if self._kept is not None and self._is_own:
            self._kept.dispose()

    def _look(self) -> dict[str, int]:
        with reading(self._engine) as connection:
            return {row.name: row.revision for row in connection.execute(_VERSIONS)}

    def _replaced(self, name: str, revision: int | None, content: bytes) -> bool:
        """Writes a document if it still has this revision (None: if there is none); whether it had."""
        values = {"content": content, "written_at": time.time()}
        with writing(self._engine) as connection:
            if revision is None:
                first = insert(documents).values(name=name, **values).on_conflict_do_nothing()
                return bool(connection.execute(first.returning(documents.c.revision)).first())
            same = (documents.c.name == name, documents.c.revision == revision)
            again = update(documents).where(*same).values(**values, revision=revisions.next_value())
            return connection.execute(again).rowcount == 1


class _Looked:
    """Versions that are looked up once for all who ask at the same time. Any thread."""

    def __init__(self, look: Callable[[], dict[str, int]]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._found: dict[str, int] = {}
        self._failed: tuple[float, StorageError] | None = None
        self._good_until = float("-inf")

    def get(self) -> dict[str, int]:
        """As they were at most `AGE_SECONDS` ago. Raises StorageError: whoever waited for a look that failed is told
        the same, and does not try for himself."""
        arrived = time.monotonic()
        with self._lock:
            began = time.monotonic()
            if self._failed and arrived <= self._failed[0]:
                raise self._failed[1]
            if began >= self._good_until:
                try:
                    self._found = self._look()
                except StorageError as exc:
                    self._failed = (time.monotonic(), exc)
                    raise
                self._good_until = began + AGE_SECONDS
            return self._found

    def forget(self) -> None:
        """This process has changed something."""
        with self._lock:
            self._good_until = float("-inf")
