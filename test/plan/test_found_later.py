"""A half-done change that is found later: what others have put there since then stays."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from app.runner.environment import transaction
from app.runner.environment.environment import Environment
from app.runner.environment.inspection import inspect
from app.runner.process.paths import Task
from test.plan.box import Box

_DAYS = 3 * 24 * 3600


@pytest.fixture
def environment(box: Box, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """With a package that a change was about to replace."""
    monkeypatch.setenv("HOME", str(box.home))
    box.index.wheel("thing", "1.0", modules={"thing/__init__.py": "x = 1\n", "thing/part.py": "y = 1\n"})
    box.have("thing==1.0")
    assert box.environment is not None
    return inspect(str(box.environment.python))


def _ended_half_way(environment: Environment, *, ago: float) -> Path:
    """The package's files are gone, half of another is there, and the run is over for so many seconds. Where they
    are."""
    (packages,) = map(Path, environment.site_packages)
    task_id = str(uuid.uuid4())
    pid = os.fork()
    if pid == 0:
        transaction.begin(environment, ["thing", "fresh"], task_id)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    (record,) = packages.glob(".nodeferry-change-*/change.json")
    said = json.loads(record.read_text())
    record.write_text(json.dumps({**said, "began": said["began"] - ago}))
    assert not Task(task_id).folder.exists()
    shutil.rmtree(packages / "thing")
    return packages


def _put_there(packages: Path, prefix: Path) -> list[Path]:
    """By hand, and by the system's packager: no package of Python's lists these."""
    paths = [packages / "sitecustomize.py", packages / "by_hand" / "__init__.py", prefix / "bin" / "ffmpeg"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    return paths


@pytest.mark.registry
def test_what_others_put_there_since_then_stays(environment: Environment) -> None:
    packages = _ended_half_way(environment, ago=_DAYS)
    mine = _put_there(packages, Path(environment.prefix))
    (undone,) = transaction.recover(environment)
    assert (undone.packages, undone.left) == (["thing"], [])
    assert (packages / "thing" / "part.py").read_text() == "y = 1\n"
    assert [path for path in mine if not path.exists()] == []
    assert not list(packages.glob(".nodeferry*"))


@pytest.mark.registry
def test_what_the_installer_left_a_moment_ago_goes(environment: Environment) -> None:
    packages = _ended_half_way(environment, ago=0)
    stray = [packages / "fresh" / "__init__.py", Path(environment.prefix) / "bin" / "fresh"]
    for path in stray:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    transaction.recover(environment)
    assert [path for path in stray if path.exists()] == []
    assert (packages / "thing" / "part.py").exists()


@pytest.mark.registry
def test_programs_beside_an_interpreter_without_a_venv_stay(environment: Environment) -> None:
    """`/usr/bin`, or conda's: a program that comes while packages change is not of them."""
    shared = replace(environment, base_prefix=environment.prefix)
    packages = _ended_half_way(shared, ago=0)
    program = Path(environment.prefix) / "bin" / "ffmpeg"
    program.write_text("")
    transaction.recover(shared)
    assert program.exists()
    assert (packages / "thing" / "part.py").exists()


@pytest.mark.registry
def test_what_a_package_lists_elsewhere_is_not_touched(environment: Environment, tmp_path: Path) -> None:
    """It may be a file of the system's, a pipe that nobody writes to, or a device without an end."""
    (packages,) = map(Path, environment.site_packages)
    outside = tmp_path / "outside"
    outside.write_text("mine")
    record = packages / "thing-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + f"{outside},,\n/dev/full,,\n")
    change = transaction.begin(environment, ["thing"], str(uuid.uuid4()))
    assert outside.stat().st_nlink == 1
    outside.unlink()
    assert change.roll_back() == []
    assert not outside.exists()


@pytest.mark.registry
def test_a_change_of_another_users_run_that_lives_is_left_alone(environment: Environment) -> None:
    """Its folder is in another home; the environment is the same."""
    change = transaction.begin(environment, ["thing"], str(uuid.uuid4()))
    assert not Task(change.record.task_id).folder.exists()
    assert transaction.recover(environment) == []
    assert change.lost() == []
    change.commit()
    (packages,) = map(Path, environment.site_packages)
    assert not list(packages.glob(".nodeferry*"))
