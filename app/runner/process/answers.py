"""The user's answers to a run's questions: a file for each in the task's folder, which the `answer` command makes.

Packs' own code could make such a file too. So an answer has a mark beside it, where the run has a seal.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Optional

from app.protocol.seal import ANSWER, Seal
from app.protocol.snapshot import is_answer_word
from app.runner.process.paths import Task
from app.runner.process.private_files import unfollowed

_MAX_BYTES = 128


class Answers:
    """The answers to one run's questions. Every method may be called from any thread."""

    def __init__(self, task: Task, seal: Optional[Seal] = None) -> None:
        """`seal`: the run's; only who reads answers needs it."""
        self._folder = str(task.answers)
        self._seal = seal
        self.forged = False
        """Whether there was an answer that the user has not given."""

    def given(self, question: str) -> Optional[str]:
        """The answer to a question; None while there is none. Cheap enough to ask several times a second."""
        try:
            with open(os.path.join(self._folder, question), "rb", opener=unfollowed) as file:
                answer, _, mark = file.read(_MAX_BYTES).decode("ascii", "replace").partition("\n")
        except OSError:
            return None
        if self._seal is None or self._seal.has_word(mark, ANSWER, question, answer):
            return answer
        self.forged = True
        return None

    def give(self, question: str, answer: str, mark: str = "") -> None:
        """Answers a question: whole, or not at all. The first answer holds; one with a mark, of which the service sends
        one, takes the place of whatever is there. Raises OSError, and ValueError for what no question, no answer and
        no mark is called."""
        if not (is_answer_word(question) and is_answer_word(answer) and (not mark or is_answer_word(mark))):
            raise ValueError("an answer needs a question and one of its answers")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        path = os.path.join(self._folder, question)
        unfinished = "%s.%d.new" % (path, os.getpid())  # no question has a dot in its name
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(("%s\n%s" % (answer, mark) if mark else answer).encode("ascii"))
        try:
            if mark:
                os.replace(unfinished, path)
                return
            os.link(unfinished, path)
        except OSError:  # it was answered before, or the file system has no links
            if not os.path.exists(path):
                os.replace(unfinished, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)

    def clear(self) -> None:
        """Forgets what was answered before this run."""
        shutil.rmtree(self._folder, ignore_errors=True)
