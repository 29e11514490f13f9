"""Programs that the runner runs: what they get, and what is left of them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app.runner.process import processes
from app.runner.process.children import Children


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children("00000000-0000-4000-8000-000000000000", tmp_path / "groups", threading.Event())


@pytest.mark.parametrize(("set_there", "expected"), [(None, "timeout:1 attempts:5"), ("timeout:9", "timeout:9")])
def test_a_lost_question_for_an_address_is_asked_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_there: str | None, expected: str
) -> None:
    """Five seconds for each lost packet is resolv.conf(5)'s default; the instance's own setting comes first."""
    if set_there is None:
        monkeypatch.delenv("RES_OPTIONS", raising=False)
    else:
        monkeypatch.setenv("RES_OPTIONS", set_there)
    children = Children("00000000-0000-4000-8000-000000000000", tmp_path / "groups", threading.Event())
    assert children.run(["/bin/sh", "-c", 'echo "$RES_OPTIONS"'], cwd=tmp_path).output.strip() == expected


def test_nobody_is_searched_for_after_a_child_that_ended_by_itself(
    children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run has hundreds of them, and each search reads all of /proc."""

    def search() -> list[int]:
        raise AssertionError("all processes were looked through")

    monkeypatch.setattr(processes, "pids", search)
    assert children.run(["/bin/true"], cwd=tmp_path).ok


def test_what_a_child_left_in_its_group_is_ended(children: Children, tmp_path: Path) -> None:
    """It goes with the child."""
    told = children.run(["/bin/sh", "-c", "tail -f /dev/null >/dev/null 2>&1 & echo $!"], cwd=tmp_path).output
    assert processes.start_time(int(told)) is None


def test_a_gentle_child_lets_others_go_first(children: Children, tmp_path: Path) -> None:
    """What is done beside the clones takes the processors that they leave."""
    niceness = ["/bin/sh", "-c", "cut -d' ' -f19 /proc/self/stat"]
    plain = int(children.run(niceness, cwd=tmp_path).output)
    assert int(children.run(niceness, cwd=tmp_path, low_priority=True).output) == min(19, plain + 10)
