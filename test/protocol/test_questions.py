"""Questions: what is folded, what is bounded, and how time stands still."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.protocol import progress_json, questions
from app.protocol.events import (
    AnswerRequested,
    CancelRequested,
    Connecting,
    Event,
    QuestionAnswered,
    QuestionAsked,
    RunEnded,
    Source,
    decode,
    encode,
)
from app.protocol.json_fields import ProtocolFault
from app.protocol.reducer import reduce
from app.protocol.snapshot import Answer, AskedQuestion, Snapshot, from_stored, to_stored
from app.protocol.states import AnswerSource, TaskState
from test.protocol.events_for_tests import TASK_ID, Writer

ANSWERS = (Answer("keep", "Leave it"), Answer("replace", "Replace it"))
USER = AnswerSource.USER


def question(name: str = "q1", **more: object) -> AskedQuestion:
    usual: dict[str, object] = {"text": "Replace?", "answers": ANSWERS, "default": "keep", "seconds": 3600.0}
    return AskedQuestion(name, "replace_registry_copies", **{**usual, **more})  # type: ignore[arg-type]


def fold(*told: Event) -> Snapshot:
    snapshot = progress_json.initial(TASK_ID, 0.0, auto_installer=False)
    snapshot = reduce(snapshot, Event(Connecting(1), 1, 0.0, 0.0, Source.SERVICE), 0.0)
    for event in told:
        snapshot = reduce(snapshot, event, 500.0 + event.mono)
    return snapshot


def test_a_question_stands_until_the_run_goes_on() -> None:
    """The user's answer is shown before that; the first one holds; a stored snapshot knows all of it."""
    run, service = Writer(), Writer(Source.SERVICE)
    service.emit(Connecting(1))
    run.emit(QuestionAsked(question()))
    asked = fold(*run.told)
    [row] = progress_json.question_rows(asked)
    assert (row["answer"], row["expires_at"]) == (None, progress_json.iso(501.0 + 3600.0))
    assert progress_json.message_code(asked) == "waiting_for_answer"
    service.emit(AnswerRequested("q1", "replace"))
    service.emit(AnswerRequested("q1", "keep"))
    requested = fold(*run.told, *service.told)
    assert progress_json.question_rows(requested)[0]["answer"] == "replace"
    assert progress_json.message_code(requested) is None
    assert from_stored(json.loads(json.dumps(to_stored(requested)))) == requested
    run.emit(QuestionAnswered("q1", "replace", USER))
    run.emit(QuestionAnswered("q1", "keep", USER))
    run.emit(QuestionAnswered("q7", "keep", USER))
    went_on = fold(*run.told, *service.told)
    assert progress_json.question_rows(went_on) == []
    assert (went_on.questions["q1"].answer, set(went_on.questions)) == ("replace", {"q1"})
    assert from_stored(json.loads(json.dumps(to_stored(went_on)))) == went_on


def test_nothing_is_asked_of_a_task_that_ends() -> None:
    """Nor of one that is being cancelled."""
    run, service = Writer(), Writer(Source.SERVICE)
    service.emit(Connecting(1))
    run.emit(QuestionAsked(question()))
    service.emit(CancelRequested())
    assert progress_json.question_rows(fold(*run.told, *service.told)) == []
    run.emit(RunEnded(TaskState.FAILED))
    assert progress_json.question_rows(fold(*run.told)) == []


def test_there_are_never_more_than_a_snapshot_keeps() -> None:
    """An answered one gives way to a new one."""
    run = Writer()
    for number in range(questions.MAX_QUESTIONS + 5):
        run.emit(QuestionAsked(question(f"q{number}")))
    assert len(fold(*run.told).questions) == questions.MAX_QUESTIONS
    run.emit(QuestionAnswered("q3", "keep", USER))
    run.emit(QuestionAsked(question("late")))
    kept = fold(*run.told).questions
    assert (len(kept), "late" in kept, "q3" in kept) == (questions.MAX_QUESTIONS, True, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "../x"},
        {"id": ""},
        {"id": "q" * 65},
        {"code": "A b"},
        {"answers": []},
        {"answers": [{"answer": "keep", "label": "a"}, {"answer": "keep", "label": "b"}]},
        {"answers": [{"answer": "--x", "label": "a"}]},
        {"answers": [{"answer": f"a{number}", "label": ""} for number in range(9)], "default": "a1"},
        {"default": "burn"},
        {"seconds": -1},
        {"seconds": 1e9},
        {"seconds": "60"},
        {"text": None},
        {"facts": []},
    ],
)
def test_a_question_that_cannot_be_is_no_event(wrong: dict[str, object]) -> None:
    """Whatever the instance sends: ids and answers become paths and arguments there."""
    good = json.loads(encode(Event(QuestionAsked(question()), 1, 0.0, 0.0)))
    assert decode(json.dumps(good).encode()).body == QuestionAsked(question())
    with pytest.raises(ProtocolFault):
        decode(json.dumps({**good, "question": {**good["question"], **wrong}}).encode())


def test_what_is_too_long_is_cut() -> None:
    """Texts, labels; facts are left out."""
    long = question(text="t" * 9999, hint="h" * 9999, answers=(Answer("keep", "l" * 9999),), facts={"a": "f" * 99_999})
    assert (len(long.text), len(long.hint), len(long.answers[0].label), long.facts) == (2000, 2000, 200, {})


def test_pauses_are_apart_and_in_order() -> None:
    """Two questions at once are one pause."""
    run = Writer()  # an event a second
    for name in ("a", "b"):
        run.emit(QuestionAsked(question(name)))
    for name in ("a", "b"):
        run.emit(QuestionAnswered(name, "keep", USER))
    run.emit(QuestionAsked(question("c")))
    assert questions.pauses(fold(*run.told)) == [(1.0, 4.0), (5.0, None)]
    assert questions.pauses(replace(fold(), questions={})) == []
