"""A user's answers to a run's questions, on their way from a request to the instance.

The install's thread records each in the snapshot and sends it over its own connection. One that a lost connection or a
restart of the service keeps from arriving is sent over the next.
"""

from __future__ import annotations

import threading
from functools import partial

from app.domain.errors import InvalidRequest, QuestionGone, QuestionNotFound
from app.protocol import questions
from app.protocol.events import AnswerRequested
from app.protocol.seal import ANSWER
from app.protocol.snapshot import Question, Snapshot
from app.protocol.states import AnswerSource
from app.remote.runner_client import RunnerClient
from app.sync.installs.recorder import Recorder
from app.sync.installs.user_commands import CommandStream
from app.sync.installs.wakers import Wakers


def check_answer(snapshot: Snapshot, question: str, word: str) -> Question:
    """The question, where `word` is or was an answer to it. Raises QuestionNotFound, QuestionGone, InvalidRequest."""
    known = snapshot.questions.get(question)
    if known is None:
        raise QuestionNotFound(field="id")
    words = [each.answer for each in known.asked.answers]
    if word not in words:
        raise InvalidRequest(
            f"{word[:80]!r} is not an answer to this question.", hint=f"Answers: {', '.join(words)}.", field="answer"
        )
    if known.answer is not None and (known.source is not AnswerSource.USER or known.answer != word):
        raise QuestionGone(f"The run went on with another decision: {known.answer} ({known.source}).", field="id")
    if known.answer is None and known not in questions.standing(snapshot):
        raise QuestionGone("The task does not wait for an answer any more.", field="id")
    return known


class AnswerRequests:
    """The answers that requests have brought since the install's thread last looked. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.wakers = Wakers()
        """Told of each that comes."""
        self._answers: dict[str, str] = {}

    def add(self, question: str, answer: str) -> str:
        """One more; the answer that holds: the first one to this question."""
        with self._lock:
            holds = self._answers.setdefault(question, answer)
        self.wakers.notify()
        return holds

    def known(self) -> dict[str, str]:
        """What has come, by the question's id. It stays, so that a later answer to the same question is known as
        such."""
        with self._lock:
            return dict(self._answers)


def send_answers(
    recorder: Recorder, requests: AnswerRequests, stream: CommandStream, client: RunnerClient | None
) -> None:
    """Records what requests have brought and, on a connection, sends what the runner has not gone on with yet. For the
    install's thread; does not wait. Raises ConnectionLost, LeaseLost."""
    known = requests.known()
    for each in questions.unanswered(recorder.snapshot) if known else ():
        if each.asked.id in known:
            recorder.emit(AnswerRequested(each.asked.id, known[each.asked.id]))
    if client is None:
        return
    for each in questions.standing(recorder.snapshot):
        if each.requested is not None:
            mark = recorder.seal.word(ANSWER, each.asked.id, each.requested) if recorder.seal else ""
            start = partial(client.request_answer, recorder.task_id, each.asked.id, each.requested, mark)
            stream.send(("answer", each.asked.id), start)
