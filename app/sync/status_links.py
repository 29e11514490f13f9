"""Links that show one run, read-only, to whoever has them. The document `status-links.json` has their hashes."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass
from typing import Any

from app.domain.access import digest_of
from app.protocol.json_fields import loads_bounded
from app.storage.documents import Documents, damaged
from app.storage.private_file import MAX_BYTES

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
    """Any thread. A run has one link at most. Raises StorageError where they cannot be read."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def make(self, run_id: str) -> tuple[str, StatusLink]:
        """A new link in the place of the run's older one: its secret, which is kept nowhere."""
        secret = secrets.token_urlsafe(32)
        link = StatusLink(run_id, digest_of(secret), time.time())

        def with_link(content: bytes | None) -> bytes:
            others = [each for each in self._read(content) if each.run_id != run_id]
            return _content([*others, link][-MOST:])

        self._documents.change(FILE_NAME, with_link)
        return secret, link

    def of_run(self, run_id: str) -> StatusLink | None:
        """The run's link."""
        return next((each for each in self._all() if each.run_id == run_id), None)

    def run_of(self, secret: str) -> str | None:
        """The run that is shown to whoever has this secret."""
        digest = digest_of(secret)
        return next((each.run_id for each in self._all() if each.digest == digest), None)

    def end(self, run_id: str) -> bool:
        """The run's link shows nothing any more; whether there was one."""
        was_there = False

        def without(content: bytes | None) -> bytes | None:
            nonlocal was_there
            known = self._read(content)
            left = [each for each in known if each.run_id != run_id]
            was_there = len(left) < len(known)
            return _content(left) if was_there else None

        self._documents.change(FILE_NAME, without)
        return was_there

    def _all(self) -> list[StatusLink]:
        return self._read(self._documents.read(FILE_NAME))

    def _read(self, content: bytes | None) -> list[StatusLink]:
        try:
            rows: Any = loads_bounded(content or b"[]", most_bytes=MAX_BYTES)
            return [StatusLink(str(row["run_id"]), str(row["digest"]), float(row["made_at"])) for row in rows]
        except (ValueError, KeyError, TypeError) as exc:
            raise damaged(self._documents, FILE_NAME, exc, "Remove it: its links end then.") from exc


def _content(links: list[StatusLink]) -> bytes:
    return json.dumps([asdict(each) for each in links]).encode()
