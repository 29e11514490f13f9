"""`skip` on the instance: what it leaves for the run, and what a hostile name cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.builds import package_key
from app.protocol.log_names import file_name
from app.runner.process.paths import Task
from app.runner.process.skips import Skips
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.runner.rig import Rig

TASK_ID = "550e8400-e29b-41d4-a716-446655440000"
HOSTILE = ["../../../x", "..", "/etc/passwd", "a/b", "-rf", "--nonce=1", "a\nb", "$(x)", "é" * 150, "a" * 200, ".skip"]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Task(TASK_ID)
    made.folder.mkdir(parents=True)
    return made


def test_what_was_asked_is_asked_in_any_spelling(task: Task) -> None:
    """Of one package and no other; a second time changes nothing; a new run begins without it."""
    skips = Skips(task)
    assert not skips.asked("foo-bar")
    for _ in range(2):
        skips.ask("Foo_Bar")
    assert [skips.asked(name) for name in ("foo-bar", "FOO.bar", "foo", "foo-bar-baz")] == [True, True, False, False]
    assert [path.name for path in task.skips.iterdir()] == ["foo-bar.skip"]
    skips.clear()
    assert not skips.asked("foo-bar")
    assert not task.skips.exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_in_its_folder(task: Task, name: str) -> None:
    """Whatever it is made of, it is one plain file there."""
    before = sorted(task.folder.parent.rglob("*"))
    Skips(task).ask(name)
    assert Skips(task).asked(name)
    assert len([path for path in task.skips.iterdir() if path.is_file()]) == 1
    assert [path for path in sorted(task.folder.parent.rglob("*")) if task.skips not in (path, path.parent)] == before


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_two_packages_never_share_a_file(one: str, other: str) -> None:
    """Unless they are one package in two spellings."""
    first, second = package_key(one), package_key(other)
    assert (file_name(first) == file_name(second)) == (first == second)
    assert len(file_name(first)) <= 100


def test_the_command_notes_it_for_a_run(rig: Rig, git_server: GitServer) -> None:
    """By the argument that the service sends, whatever name that is."""
    run = rig.install([{"name": "p", "repo_url": make_pack(git_server, "o", "p").url}])
    for number, name in enumerate(HOSTILE, 1):
        assert rig.call("skip", run.task_id, f"--package={name}")["status"] == "ended"
        assert len(list((rig.state / run.task_id / "skips").iterdir())) == number


def test_the_command_makes_nothing_for_a_task_that_is_not_there(rig: Rig) -> None:
    """And refuses a skip of nothing."""
    assert rig.call("skip", TASK_ID, "--package=a") == {"status": "unknown", "offset": 0}
    assert not (rig.state / TASK_ID).exists()
    assert rig.call("skip", TASK_ID)["error"]["code"] == "bad_request"
    assert rig.call("skip", "../x", "--package=a")["error"]["code"] == "bad_task_id"
