"""`answer` on the instance: what it leaves for the run, and what a hostile name cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.runner.process.answers import Answers
from app.runner.process.paths import Task
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.runner.rig import Rig

TASK_ID = "550e8400-e29b-41d4-a716-446655440000"
HOSTILE = ["../../../x", "..", "/etc/passwd", "a/b", "a\nb", "$(x)", "é", "a" * 65, "", "q1.1.new", "Q1"]


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setenv("HOME", str(tmp_path))
    Task(TASK_ID).folder.mkdir(parents=True)
    return Answers(Task(TASK_ID))


def test_the_first_answer_holds(answers: Answers) -> None:
    """Each question has its own; a new run begins without any."""
    assert answers.given("q1") is None
    for word in ("replace", "replace", "keep"):
        answers.give("q1", word)
    assert (answers.given("q1"), answers.given("q2")) == ("replace", None)
    assert [path.name for path in Task(TASK_ID).answers.iterdir()] == ["q1"]
    answers.clear()
    assert answers.given("q1") is None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused(answers: Answers, name: str) -> None:
    """As a question and as an answer, and nothing is left behind."""
    for question, word in ((name, "keep"), ("q1", name)):
        with pytest.raises(ValueError, match="needs a question"):
            answers.give(question, word)
    assert not Task(TASK_ID).answers.exists()


def test_the_command_notes_it_for_a_run(rig: Rig, git_server: GitServer) -> None:
    """By the arguments that the service sends; nothing for a task that is not there."""
    run = rig.install([{"name": "p", "repo_url": make_pack(git_server, "o", "p").url}])
    assert rig.call("answer", run.task_id, "--question=q1", "--answer=keep")["status"] == "ended"
    assert (rig.state / run.task_id / "answers" / "q1").read_text() == "keep"
    assert rig.call("answer", run.task_id, "--question=../q", "--answer=keep")["error"]["code"] == "bad_request"
    assert rig.call("answer", TASK_ID, "--question=q1", "--answer=keep") == {"status": "unknown", "offset": 0}
    assert not (rig.state / TASK_ID).exists()
