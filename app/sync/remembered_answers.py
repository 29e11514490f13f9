"""Answers to questions about node packs that this service's owner wants to give once. `workflow-answers.json` in the
data folder has them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.protocol.json_fields import loads_bounded
from app.storage.errors import StorageError
from app.storage.private_file import MAX_BYTES, read_private, write_private

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
    """The answers by their questions. Any thread. Raises StorageError where the file cannot be used."""

    def __init__(self, data_dir: Path, now: Callable[[], float] = time.time) -> None:
        self._path = data_dir / FILE_NAME
        self._lock = threading.Lock()
        self._now = now

    def all(self) -> list[Remembered]:
        """The oldest first."""
        return list(self._read().values())

    def add(self, answers: Mapping[str, str]) -> None:
        """Keeps answers, in place of earlier ones to the same questions."""
        if not answers:
            return
        with self._lock:
            known = self._read()
            new = {key: Remembered(key, answer, self._now()) for key, answer in answers.items()}
            if all(key in known and known[key].answer == each.answer for key, each in new.items()):
                return
            left = [each for key, each in known.items() if key not in new]
            self._write([*left, *new.values()][-MOST:])

    def forget(self, question_id: str | None = None) -> int:
        """Forgets one answer, or all of them; how many there were."""
        with self._lock:
            known = self._read()
            left = [each for key, each in known.items() if question_id is not None and key != question_id]
            if len(left) < len(known):
                self._write(left)
        return len(known) - len(left)

    def _read(self) -> dict[str, Remembered]:
        raw = read_private(self._path)
        try:
            rows: Any = loads_bounded(raw or b"[]", most_bytes=MAX_BYTES)
            found = [Remembered(str(row["question_id"]), str(row["answer"]), float(row["answered_at"])) for row in rows]
        except (ValueError, KeyError, TypeError) as exc:
            hint = "Remove the file: its answers are asked for again."
            raise StorageError(f"{self._path} cannot be read: {exc}", hint=hint) from exc
        return {each.question_id: each for each in found}

    def _write(self, answers: list[Remembered]) -> None:
        write_private(self._path, json.dumps([asdict(each) for each in answers]).encode())
