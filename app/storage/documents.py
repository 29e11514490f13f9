"""Small documents that outlive a service, by their names: tokens, sessions, links, answers, workflow files, proofs.

One process keeps them as private files in its data folder; several share them in their database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from app.storage.errors import StorageError
from app.storage.filelock import file_lock
from app.storage.private_file import mark_of, read_private, write_private
from app.storage.private_folder import private_folders

_LOCK_SECONDS = 5.0
Changed = Callable[[bytes | None], bytes | None]
"""Makes a document's new content from what it is; None: it stays as it is."""


class Documents(Protocol):
    """Any thread. All raise StorageError where documents cannot be used. A name is `NAME` or `FOLDER/NAME`."""

    @property
    def is_common(self) -> bool:
        """Whether other processes may change a document at any time."""

    def version(self, name: str) -> Hashable | None:
        """What changes whenever the document does, found out cheaply; None where there is none."""

    def read(self, name: str) -> bytes | None:
        """A document's content; None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Replaces a document as a whole."""

    def change(self, name: str, changed: Changed, *, with_commands: bool = False) -> None:
        """Replaces a document by what `changed` makes of it: of two changes at once none is lost. `with_commands`: the
        command line changes it too, perhaps as root."""

    def remove(self, name: str) -> None:
        """Removes a document, if there is one."""

    def newest_first(self, folder: str, ending: str) -> list[tuple[str, float]]:
        """The documents of a folder by their names, and when each was written, in Unix seconds."""

    def place(self, name: str) -> str:
        """Where a document lies, for messages."""

    def use(self, engine: Engine) -> None:
        """From now on the service's own connections are used, where documents lie in its database."""

    def close(self) -> None:
        """Releases what these documents have opened themselves."""


class FolderDocuments:
    """Documents as files of one folder."""

    is_common = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def version(self, name: str) -> Hashable | None:
        """See `Documents`."""
        return mark_of(self._folder / name)

    def read(self, name: str) -> bytes | None:
        """See `Documents`."""
        return read_private(self._folder / name)

    def write(self, name: str, content: bytes) -> None:
        """See `Documents`."""
        write_private(self._folder / name, content)

    def change(self, name: str, changed: Changed, *, with_commands: bool = False) -> None:
        """See `Documents`."""
        with self._lock, self._alone(name) if with_commands else nullcontext():
            content = changed(self.read(name))
            if content is not None:
                write_private(self._folder / name, content, for_owner=with_commands)

    def remove(self, name: str) -> None:
        """See `Documents`."""
        (self._folder / name).unlink(missing_ok=True)

    def newest_first(self, folder: str, ending: str) -> list[tuple[str, float]]:
        """See `Documents`."""
        found: list[tuple[str, float]] = []
        with suppress(OSError):  # another one who removes
            paths = (self._folder / folder).glob(f"*{ending}")
            found.extend((f"{folder}/{path.name}", path.stat().st_mtime) for path in paths)
        return sorted(found, key=lambda each: each[1], reverse=True)

    def place(self, name: str) -> str:
        """See `Documents`."""
        return str(self._folder / name)

    def use(self, engine: Engine) -> None:
        """See `Documents`."""

    def close(self) -> None:
        """See `Documents`."""

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        private_folders(self._folder)
        with file_lock((self._folder / name).with_suffix(".lock"), _LOCK_SECONDS):
            yield


def damaged(documents: Documents, name: str, why: object, hint: str) -> StorageError:
    """The error for a document that nobody can read."""
    return StorageError(f"{documents.place(name)} cannot be read: {why}", hint=hint)
