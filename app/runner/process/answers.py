"""The user's answers to a run's questions: a file for each in the task's folder, which the `answer` command makes."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Optional

from app.protocol.snapshot import is_answer_word
from app.runner.process.paths import Task

_MAX_BYTES = 64


class Answers:
    """The answers to one run's questions. Every method may be called from any thread."""

    def __init__(self, task: Task) -> None:
        self._folder = str(task.answers)

    def given(self, question: str) -> Optional[str]:
        """The answer to a question; None while there is none. Cheap enough to ask several times a second."""
        try:
            with open(os.path.join(self._folder, question), "rb") as file:
                return file.read(_MAX_BYTES).decode("ascii", "replace")
        except OSError:
            return None

    def give(self, question: str, answer: str) -> None:
        """Answers a question: whole, or not at all, and the first answer holds. Raises OSError, and ValueError for
        what no question and no answer is called."""
        if not (is_answer_word(question) and is_answer_word(answer)):
            raise ValueError("an answer needs a question and one of its answers")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        path = os.path.join(self._folder, question)
        unfinished = "%s.%d.new" % (path, os.getpid())  # no question has a dot in its name
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(answer.encode("ascii"))
        try:
            os.link(unfinished, path)
        except OSError:  # it was answered before, or the file system has no links
            if not os.path.exists(path):
                os.replace(unfinished, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)

    def clear(self) -> None:
        """Forgets what was answered before this run."""
        shutil.rmtree(self._folder, ignore_errors=True)
