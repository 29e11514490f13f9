"""Answers to questions about node packs that this service's owner wants to give once. The document
`workflow-answers.json` has them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app.protocol.json_fields import loads_bounded
from app.storage.documents import Documents, damaged
from app.storage.private_file import MAX_BYTES

FILE_NAME = "workflow-answers.json"
MOST = 2000
"""With more the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """`answer`: a repository, a pack of the registry, or `skip`; `answered_at`: Unix seconds."""

    question_id: str
    answer: str
    answered_at: float


class RememberedAnswers:
    """The answers by their questions. Any thread. Raises StorageError where they cannot be read."""

    def __init__(self, documents: Documents, now: Callable[[], float] = time.time) -> None:
        self._documents = documents
        self._now = now

    def all(self) -> list[Remembered]:
        """The oldest first."""
        return list(self._read(self._documents.read(FILE_NAME)).values())

    def add(self, answers: Mapping[str, str]) -> None:
        """Keeps answers, in place of earlier ones to the same questions."""

        def with_new(content: bytes | None) -> bytes | None:
            known = self._read(content)
            new = {key: Remembered(key, answer, self._now()) for key, answer in answers.items()}
            if all(key in known and known[key].answer == each.answer for key, each in new.items()):
                return None
            left = [each for key, each in known.items() if key not in new]
            return _content([*left, *new.values()][-MOST:])

        if answers:
            self._documents.change(FILE_NAME, with_new)

    def forget(self, question_id: str | None = None) -> int:
        """Forgets one answer, or all of them; how many there were."""
        forgotten = 0

        def without(content: bytes | None) -> bytes | None:
            nonlocal forgotten
            known = self._read(content)
            left = [each for key, each in known.items() if question_id is not None and key != question_id]
            forgotten = len(known) - len(left)
            return _content(left) if forgotten else None

        self._documents.change(FILE_NAME, without)
        return forgotten

    def _read(self, content: bytes | None) -> dict[str, Remembered]:
        try:
            rows: Any = loads_bounded(content or b"[]", most_bytes=MAX_BYTES)
            found = [Remembered(str(row["question_id"]), str(row["answer"]), float(row["answered_at"])) for row in rows]
        except (ValueError, KeyError, TypeError) as exc:
            hint = "Remove it: its answers are asked for again."
            raise damaged(self._documents, FILE_NAME, exc, hint) from exc
        return {each.question_id: each for each in found}


def _content(answers: list[Remembered]) -> bytes:
    return json.dumps([asdict(each) for each in answers]).encode()
