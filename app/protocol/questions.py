"""Questions that a run asks a person, as events change them and as progress shows them.

Everything about them that comes from an instance is bounded where it is read: `AskedQuestion` does that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Tuple

from app.protocol.reasons import find
from app.protocol.snapshot import AskedQuestion, Problem, Question, Snapshot
from app.protocol.states import AnswerSource, TaskState

MAX_QUESTIONS = 50
"""How many one run may ask, and how many a snapshot keeps."""
_ANSWERABLE = frozenset({TaskState.RUNNING, TaskState.INTERRUPTED})


def with_question(questions: Mapping[str, Question], asked: AskedQuestion, mono: float) -> Mapping[str, Question]:
    """`questions` after another was asked at `mono`, a second of the runner's clock. Where there are `MAX_QUESTIONS`,
    it takes the place of one that has an answer; when none has, it is left out."""
    if asked.id not in questions and len(questions) >= MAX_QUESTIONS:
        answered = next((name for name, each in questions.items() if each.answer is not None), None)
        if answered is None:
            return questions
        questions = {name: each for name, each in questions.items() if name != answered}
    return {**questions, asked.id: Question(asked, asked_mono=mono)}


def with_answer(
    questions: Mapping[str, Question], name: str, answer: str, source: AnswerSource, mono: float
) -> Mapping[str, Question]:
    """`questions` after the run went on with an answer; one that is not known changes nothing."""
    known = questions.get(name)
    if known is None or known.answer is not None:
        return questions
    return {**questions, name: replace(known, answer=answer, source=source, answered_mono=mono)}


def with_requested_answer(questions: Mapping[str, Question], name: str, answer: str) -> Mapping[str, Question]:
    """`questions` after the user answered one; the first answer holds."""
    known = questions.get(name)
    if known is None or known.answer is not None or known.requested is not None:
        return questions
    return {**questions, name: replace(known, requested=answer)}


def standing(snapshot: Snapshot) -> List[Question]:
    """The questions that the run waits with, in the order in which they were asked; none of a task that ends."""
    if snapshot.state not in _ANSWERABLE:
        return []
    return [each for each in snapshot.questions.values() if each.answer is None]


def unanswered(snapshot: Snapshot) -> List[Question]:
    """Those of `standing` that nobody has answered: an answer may be on its way to the instance."""
    return [each for each in standing(snapshot) if each.requested is None]


def wait_of(snapshot: Snapshot) -> Optional[Problem]:
    """Why the run waits, if it waits for a person."""
    left = unanswered(snapshot) if snapshot.state is TaskState.RUNNING else []
    return Problem("waiting_for_answer", "Waiting for your answer: %s" % left[0].asked.text) if left else None


def pauses(snapshot: Snapshot) -> List[Tuple[float, Optional[float]]]:
    """When the run stood still for a question: begin and end by the runner's monotonic clock, apart from each other and
    in their order. The end of one that goes on is None."""
    found: List[Tuple[float, Optional[float]]] = []
    for each in sorted(snapshot.questions.values(), key=lambda question: question.asked_mono):
        begin, end = each.asked_mono, each.answered_mono
        if found and (found[-1][1] is None or begin <= found[-1][1]):
            begin, before = found.pop()
            end = None if before is None or end is None else max(before, end)
        found.append((begin, end))
    return found


def row(snapshot: Snapshot, question: Question) -> Dict[str, Any]:
    """One question. `answer`: what was answered, None before; `expires_at`: Unix seconds of the
    snapshot's clock, None where it is not known."""
    asked, expires_at = question.asked, None
    if snapshot.last_at is not None and snapshot.last_mono is not None:
        expires_at = round(snapshot.last_at + question.asked_mono + asked.seconds - snapshot.last_mono)
    return {
        "id": asked.id,
        "code": asked.code,
        "title": find(asked.code).title,
        "text": asked.text,
        "hint": asked.hint,
        "answers": [each.to_json() for each in asked.answers],
        "default": asked.default,
        "facts": dict(asked.facts),
        "answer": question.answer or question.requested,
        "expires_at": expires_at,
    }
