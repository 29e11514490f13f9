"""Links that show one run, read-only, to whoever has them. `status-links.json` in the data folder has their hashes."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.domain.access import digest_of
from app.protocol.json_fields import loads_bounded
from app.storage.errors import StorageError
from app.storage.private_file import MAX_BYTES, read_private, write_private

FILE_NAME = "status-links.json"
MOST = 500
"""With more the oldest end."""


@dataclass(frozen=True, slots=True)
class StatusLink:
    """`digest`: of its secret; `made_at`: Unix seconds."""

    run_id: str
    digest: str
    made_at: float


class StatusLinks:
    """Any thread. A run has one link at most. Raises StorageError where the file cannot be used."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self._lock = threading.Lock()

    def make(self, run_id: str) -> tuple[str, StatusLink]:
        """A new link in the place of the run's older one: its secret, which is kept nowhere."""
        secret = secrets.token_urlsafe(32)
        link = StatusLink(run_id, digest_of(secret), time.time())
        with self._lock:
            others = [each for each in self._read().values() if each.run_id != run_id]
            self._write([*others, link][-MOST:])
        return secret, link

    def of_run(self, run_id: str) -> StatusLink | None:
        """The run's link."""
        return next((each for each in self._read().values() if each.run_id == run_id), None)

    def run_of(self, secret: str) -> str | None:
        """The run that is shown to whoever has this secret."""
        found = self._read().get(digest_of(secret))
        return found.run_id if found else None

    def end(self, run_id: str) -> bool:
        """The run's link shows nothing any more; whether there was one."""
        with self._lock:
            known = self._read().values()
            left = [each for each in known if each.run_id != run_id]
            if len(left) < len(known):
                self._write(left)
        return len(left) < len(known)

    def _read(self) -> Mapping[str, StatusLink]:
        raw = read_private(self._path)
        try:
            rows: Any = loads_bounded(raw or b"[]", most_bytes=MAX_BYTES)
            found = [StatusLink(str(row["run_id"]), str(row["digest"]), float(row["made_at"])) for row in rows]
        except (ValueError, KeyError, TypeError) as exc:
            hint = "Remove the file: its links end then."
            raise StorageError(f"{self._path} cannot be read: {exc}", hint=hint) from exc
        return {link.digest: link for link in found}

    def _write(self, links: list[StatusLink]) -> None:
        write_private(self._path, json.dumps([asdict(each) for each in links]).encode())
