"""Programs that the runner runs: what they get, and what is left of them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.runner.process import processes
from app.runner.process.children import Children, Limits
from app.runner.process.load_watch import Load
from app.runner.process.removal import remove_large_tree


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


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        ("true", Limits()),
        ("tail -f /dev/null >/dev/null 2>&1 &", Limits()),
        ("tail -f /dev/null >/dev/null 2>&1 &", Limits(load=Load())),
        ("exec tail -f /dev/null", Limits(total=0.1)),
    ],
    ids=["ends", "leaves something", "leaves something that is watched", "takes too long"],
)
def test_no_signal_goes_to_a_number_that_may_be_anothers(
    children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, limits: Limits
) -> None:
    """A child that was waited for has given its number back. On a busy machine the next program has it, and a run that
    had nothing to do with this one was cancelled by its TERM."""
    real, signalled = os.killpg, []

    def killpg(group: int, number: int) -> None:
        if number:  # 0 only asks
            signalled.append(processes.stat_fields(group))
        real(group, number)

    monkeypatch.setattr(os, "killpg", killpg)
    children.run(["/bin/sh", "-c", script], cwd=tmp_path, limits=limits)
    assert signalled and None not in signalled


def test_a_child_that_has_shown_enough_is_ended(children: Children, tmp_path: Path) -> None:
    """When it is silent, and counts as ended well."""
    argv = ["/bin/sh", "-c", "echo one; echo two; exec tail -f /dev/null"]
    finished = children.run(argv, cwd=tmp_path, enough=lambda output: b"two" in output)
    assert (finished.ok, finished.enough, finished.output) == (True, True, "one\ntwo\n")


def test_a_child_is_not_ended_while_a_program_that_it_started_runs(children: Children, tmp_path: Path) -> None:
    """In a session of its own too."""
    argv = [
        "/bin/sh",
        "-c",
        "echo all; setsid sh -c 'read line < fifo; echo done > mark' & wait; exec tail -f /dev/null",
    ]
    (tmp_path / "mark").touch()
    os.mkfifo(tmp_path / "fifo")
    asked = []

    def enough(output: bytes) -> bool:
        asked.append(output)
        if len(asked) == 3:
            (tmp_path / "fifo").write_text("go\n")
        return True

    finished = children.run(argv, cwd=tmp_path, enough=enough)
    assert finished.enough
    assert (tmp_path / "mark").read_text() == "done\n"


def test_a_gentle_child_lets_others_go_first(children: Children, tmp_path: Path) -> None:
    """What is done beside the clones takes the processors that they leave."""
    niceness = ["/bin/sh", "-c", "cut -d' ' -f19 /proc/self/stat"]
    plain = int(children.run(niceness, cwd=tmp_path).output)
    assert int(children.run(niceness, cwd=tmp_path, low_priority=True).output) == min(19, plain + 10)


_CLOSED = "import os, select; os.close(1); os.close(2); select.select([], [], [], 0.5); os._exit(3)"
"""It closes its output, and goes on for half a second."""
_LEAVES_ONE = (
    "import os, select\nif os.fork() == 0:\n    select.select([], [], [], 60)\nprint('said', flush=True)\nos._exit(4)"
)
"""It ends; what it started holds its output open."""


@pytest.fixture(params=["told by the kernel", "not told"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the kernel tells of a child's end: before 5.3, and where a container forbids it, it does not."""

    def refuse(_pid: int, _flags: int = 0) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param == "not told":
        monkeypatch.setattr(os, "pidfd_open", refuse)
    return str(request.param)


@pytest.mark.parametrize(
    ("program", "code", "output"), [(_CLOSED, 3, ""), (_LEAVES_ONE, 4, "said\n")], ids=["closes it", "leaves one"]
)
def test_the_end_of_a_child_is_seen_soon(
    children: Children, tmp_path: Path, *, ends: str, program: str, code: int, output: str
) -> None:
    """Whatever has become of its output, and without leaving a descriptor open."""
    before, open_before = time.monotonic(), os.listdir("/proc/self/fd")
    done = children.run([sys.executable, "-I", "-S", "-c", program], cwd=tmp_path)
    took = time.monotonic() - before
    assert (done.code, done.output, done.stopped) == (code, output, None)
    assert took < 3, ends
    assert os.listdir("/proc/self/fd") == open_before


@pytest.mark.alone
def test_waiting_for_a_child_takes_no_processor_time(children: Children, tmp_path: Path, ends: str) -> None:
    """With its output open or closed, and when it has ended with its output open."""
    before = time.thread_time()
    children.run([sys.executable, "-I", "-S", "-c", _CLOSED], cwd=tmp_path)
    children.run([sys.executable, "-I", "-S", "-c", _CLOSED.replace("os.close(1); os.close(2); ", "")], cwd=tmp_path)
    children.run([sys.executable, "-I", "-S", "-c", _LEAVES_ONE], cwd=tmp_path)
    assert time.thread_time() - before < 0.1, ends


@pytest.mark.alone
def test_a_child_that_ends_at_once_costs_no_wait(children: Children, tmp_path: Path, ends: str) -> None:
    """A pack takes a handful of git's commands, one after another."""
    before = time.monotonic()
    for _ in range(20):
        assert children.run(["/bin/true"], cwd=tmp_path).ok
    waited = time.monotonic() - before
    for _ in range(20):
        subprocess.run(["/bin/true"], check=True)
    assert waited < (time.monotonic() - before - waited) + 20 * 0.02, ends


@pytest.mark.alone
def test_a_large_tree_is_removed_beside_the_other_threads(tmp_path: Path) -> None:
    """With what is in it, whatever its name. Where a link leads nothing is removed; what is not there is no error."""
    kept, folder = tmp_path / "kept", tmp_path / "-rf * \n"
    for each in (kept, folder / "a" / "b"):
        each.mkdir(parents=True)
        (each / "file").write_text("x")
    (folder / "link").symlink_to(kept)
    for number in range(20_000):
        os.close(os.open(folder / "a" / str(number), os.O_CREAT | os.O_WRONLY))
    before = time.thread_time()
    remove_large_tree(folder)
    assert time.thread_time() - before < 0.03
    remove_large_tree(folder)
    assert os.listdir(tmp_path) == ["kept"]
    assert (kept / "file").read_text() == "x"
