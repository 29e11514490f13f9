"""Progress as one JSON file a task on the service's disk, so that `cat` and a restarted service can read it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.domain.errors import InvalidRequest
from app.protocol.redaction import masked
from app.protocol.task_id import PATTERN, canonical
from app.protocol.terminal_text import json_text
from app.storage.errors import StorageError
from app.storage.private_folder import private, private_folders

_NAME = re.compile(rf"({PATTERN})\.(json|[0-9]+-[0-9]+\.tmp)")


class ProgressFiles:
    """The files of one folder (0700, made when missing). Every method may be called from any thread.

    A task_id that is not a UUID is refused with InvalidRequest before it becomes a file's name.
    """

    def __init__(self, folder: Path) -> None:
        """Raises StorageError when the folder cannot be made."""
        self._folder = folder
        try:
            private_folders(folder)
            folder.chmod(0o700)
        except OSError as exc:
            raise _unavailable(f"The progress folder {folder} cannot be made", exc) from exc

    def write(self, task_id: str, payload: Mapping[str, Any]) -> None:
        """Replace the task's file as a whole: a reader sees the old one or the new one. Raises StorageError.

        It is not synced to the disk: after a power cut the database has the truth.
        """
        path = self._folder / f"{canonical_task_id(task_id)}.json"
        content = masked(json_text(dict(payload))).encode("ascii")
        draft = path.with_name(f"{path.stem}.{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            with open(draft, "wb", opener=private) as file:
                file.write(content)
            os.replace(draft, path)
        except OSError as exc:
            with suppress(OSError):
                draft.unlink()
            raise _unavailable(f"The progress file {path} cannot be written", exc) from exc

    def remove_all(self, unwanted: Callable[[str, float], bool]) -> tuple[int, int]:
        """Removes the files for which `unwanted(task_id, last written in Unix seconds)` holds; how many, and their
        bytes. Other files in the folder are nobody's business here. Raises StorageError."""
        count = size = 0
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # a draft that has got its name, or another one who removes
                        name, found = _NAME.fullmatch(entry.name), entry.stat(follow_symlinks=False)
                        if name and unwanted(name.group(1), found.st_mtime):
                            os.unlink(entry.path)
                            count, size = count + 1, size + found.st_size
        except OSError as exc:
            raise _unavailable(f"Old progress files in {self._folder} cannot be removed", exc) from exc
        return count, size


def canonical_task_id(task_id: object) -> str:
    """`task_id` in its one spelling. Raises InvalidRequest for anything that is no UUID."""
    known = canonical(task_id)
    if known is None:
        raise InvalidRequest("task_id is not a UUID.", field="task_id")
    return known


def _unavailable(what: str, exc: OSError) -> StorageError:
    hint = "Check that the disk has free space and that NODEFERRY_DATA_DIR can be written."
    return StorageError(f"{what}: {exc.strerror or exc}.", hint=hint, code="progress_unavailable")
