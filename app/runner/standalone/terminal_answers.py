"""Answers to a run's questions that a person types at the terminal."""

from __future__ import annotations

import select
import sys
from typing import Callable, Optional

from app.protocol import questions
from app.protocol.seal import ANSWER, Seal
from app.protocol.snapshot import AskedQuestion, Snapshot
from app.runner.process.answers import Answers
from app.runner.standalone.command_line import is_terminal


class TerminalAnswers:
    """Reads a line whenever there is one while a question stands, and leaves its answer where the run looks for it.
    For the thread that prints."""

    def __init__(self, answers: Answers, line: Callable[[str], None], seal: Seal) -> None:
        """`seal`: the run's, which marks what was typed."""
        self._answers = answers
        self._line = line
        self._seal = seal
        self._question: Optional[AskedQuestion] = None
        """What the person is being asked."""

    def update(self, snapshot: Snapshot) -> None:
        """Something happened: asks for the first question that stands."""
        standing = questions.standing(snapshot)
        asked = standing[0].asked if standing and is_terminal() else None
        if asked is not None and asked != self._question:
            self._line("Answer %s with a number or a word, or press Enter for %s:" % (asked.id, asked.default))
        self._question = asked

    def read(self) -> None:
        """Takes what was typed, if a question stands. Does not wait."""
        if self._question is None or not select.select([sys.stdin], [], [], 0.0)[0]:
            return
        typed = sys.stdin.readline()
        if not typed:  # nobody is there any more: the question's time runs out
            self._question = None
            return
        answer = _answer_of(self._question, typed.strip())
        if answer is None:
            self._line("Answer with one of: %s." % ", ".join(each.answer for each in self._question.answers))
            return
        mark = self._seal.word(ANSWER, self._question.id, answer)
        self._answers.give(self._question.id, answer, mark)
        self._question = None


def _answer_of(question: AskedQuestion, typed: str) -> Optional[str]:
    words = [each.answer for each in question.answers]
    if typed.isdecimal() and 0 < int(typed[:4]) <= len(words):
        return words[int(typed[:4]) - 1]
    return (typed or question.default) if not typed or typed in words else None
