"""Asks a person, from any phase of a run, and waits for the answer."""

from __future__ import annotations

import threading
import time
from typing import Any, Mapping, Optional

from app.protocol.events import QuestionAnswered, QuestionAsked, Warned
from app.protocol.questions import MAX_QUESTIONS
from app.protocol.snapshot import MAX_QUESTION_SECONDS, Answer, AskedQuestion
from app.protocol.states import AnswerSource
from app.runner.daemon.journal import CHANGED_HINT, Journal
from app.runner.process.answers import Answers
from app.runner.process.errors import RunCancelled

_LOOK_SECONDS = 0.2
_FORGED = "Something on the instance answered a question of this task, and not you. The answer was ignored."
_HINT = 'With "ask": "ask" you are asked.'


class Questions:
    """The questions of one run. Any thread may ask, several at once; nobody asks who holds a lock, since the answer may
    take an hour. `asks`: whether anybody is to be asked; `seconds`: how long an answer may take."""

    def __init__(
        self, answers: Answers, journal: Journal, cancelled: threading.Event, *, asks: bool, seconds: float
    ) -> None:
        self._answers = answers
        self._journal = journal
        self._cancelled = cancelled
        self._asks = asks
        self._seconds = min(seconds, MAX_QUESTION_SECONDS)
        self._lock = threading.Lock()
        self._asked = 0
        self._told_of_forged = False

    def ask(
        self,
        text: str,
        *,
        code: str,
        answers: Mapping[str, str],
        default: str,
        hint: str = "",
        facts: Optional[Mapping[str, Any]] = None,
    ) -> str:
        """One of `answers`, each of which has a label. `code` is a reason code; `default` is what changes least, and
        is returned, with a warning, where nobody is to be asked or nobody has answered in time. `facts`: what the
        question is about, as JSON values. Raises RunCancelled."""
        with self._lock:
            self._asked += 1
            number = self._asked
        asks = self._asks and number <= MAX_QUESTIONS
        choices = tuple([Answer(word, label) for word, label in answers.items()])
        seconds = self._seconds if asks else 0.0
        question = AskedQuestion("q%d" % number, code, text, choices, default, seconds, hint, facts or {})
        self._journal.emit(QuestionAsked(question))
        answer = self._wait(question) if asks else None
        source = AnswerSource.USER if answer else AnswerSource.EXPIRED if asks else AnswerSource.NOT_ASKED
        self._journal.emit(QuestionAnswered(question.id, answer or default, source))
        if answer is None:
            self._warn(question, answers[default], source)
        return answer or default

    def _wait(self, question: AskedQuestion) -> Optional[str]:
        deadline = time.monotonic() + question.seconds
        words = [each.answer for each in question.answers]
        while True:
            if self._cancelled.is_set():
                raise RunCancelled
            answer = self._answers.given(question.id)
            self._tell_of_forged()
            if answer in words:
                return answer
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._cancelled.wait(min(left, _LOOK_SECONDS))

    def _tell_of_forged(self) -> None:
        with self._lock:
            is_new, self._told_of_forged = self._answers.forged and not self._told_of_forged, self._answers.forged
        if is_new:
            self._journal.emit(Warned("answer_forged", _FORGED, CHANGED_HINT))

    def _warn(self, question: AskedQuestion, label: str, source: AnswerSource) -> None:
        expired = source is AnswerSource.EXPIRED
        why = "Nobody answered within %s" % _minutes(question.seconds) if expired else "Nobody was asked"
        text = "%s, so what changes least was done: %s. The question was: %s" % (why, label, question.text)
        code = "question_expired" if expired else "question_not_asked"
        self._journal.emit(Warned(code, text, "Start again to decide otherwise." if expired else _HINT))


def _minutes(seconds: float) -> str:
    return "%d minutes" % round(seconds / 60) if seconds >= 120 else "%g s" % seconds
