"""Stillness: what is silent and works goes on, whichever process works; what is silent and sleeps is ended."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.runner.hints.build_reasons import of_build, of_skip
from app.runner.process import processes
from app.runner.process.children import Children, Finished, Limits
from app.runner.process.family import become_subreaper
from app.runner.process.processor_time import Used, seconds_between
from test.support.package_index import PackageIndex
from test.support.waiting import wait_until

IDLE = 1.2
LIMITS = Limits(idle=IDLE, total=60.0, busy=60.0)
BURN = "import time; end = time.monotonic() + %g\nwhile time.monotonic() < end: sum(range(10000))"
SILENT = "import select; select.select([], [], [], %g)"
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2)."""
TASK = str(uuid.uuid4())
"""Another one in each process: who ends all of a task's processes ends those of tests beside it, too."""

WAYS = {
    "itself": BURN % 3.6,
    "in a group of its own": (
        "import os, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {BURN % 3.6!r}], preexec_fn=os.setpgrp, check=True)"
    ),
    "in a session of its own": (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN % 3.6!r}], start_new_session=True)"
    ),
    "one short compiler after the other": (
        "import subprocess, sys\n"
        f"for _ in range(12): subprocess.run([sys.executable, '-c', {BURN % 0.3!r}], start_new_session=True)"
    ),
}


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    made = Children(TASK, tmp_path / "groups", threading.Event())
    yield made
    made.end_all()


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("way", WAYS)
def test_who_works_silently_goes_on(children: Children, tmp_path: Path, way: str) -> None:
    """Three times as long as it may be silent: work counts wherever in its tree it is done, also by those that are
    gone."""
    finished = children.run(python(WAYS[way]), cwd=tmp_path, limits=LIMITS)
    assert (finished.code, finished.stopped) == (0, None), finished.output


@pytest.mark.parametrize(
    "code",
    [
        SILENT % 60,
        "import select\nfor _ in range(6000): select.select([], [], [], 0.01)",
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SILENT % 60!r}], start_new_session=True)",
        f"{BURN % 0.5}\n{SILENT % 60}",
    ],
    ids=["sleeps", "looks now and then", "its helper sleeps", "worked once"],
)
def test_what_sleeps_is_ended_at_its_limit(children: Children, tmp_path: Path, code: str) -> None:
    """With everything that it had started, in other sessions too."""
    began = time.monotonic()
    finished = children.run(python(code), cwd=tmp_path, limits=LIMITS)
    assert finished.stopped == "idle"
    assert IDLE <= time.monotonic() - began < 3 * IDLE + 5
    wait_until(lambda: not processes.marked(TASK), 5, "nothing of it is left")


def test_another_child_s_work_is_not_its_own(children: Children, tmp_path: Path) -> None:
    """Two builds at once: one that sleeps beside one that works is ended."""
    found: list[Finished] = []
    beside = threading.Thread(
        target=lambda: found.append(children.run(python(BURN % 5), cwd=tmp_path, limits=LIMITS)), daemon=True
    )
    beside.start()
    assert children.run(python(SILENT % 60), cwd=tmp_path, limits=LIMITS).stopped == "idle"
    beside.join(30)
    assert [finished.code for finished in found] == [0]


@pytest.fixture
def adopting() -> Iterator[None]:
    """This process adopts orphans, as the runner does."""
    become_subreaper()
    yield
    ctypes.CDLL(None).prctl(_SUBREAPER, 0, 0, 0, 0)


@pytest.mark.usefixtures("adopting")
def test_an_orphan_counts_for_the_child_that_began_it(children: Children, tmp_path: Path) -> None:
    """A compile server that has left its parent and its session."""
    server = f"subprocess.Popen([sys.executable, '-c', {BURN % 3.6!r}], start_new_session=True)"
    leaves = f"import os, subprocess, sys\nif os.fork() == 0:\n    {server}\n    os._exit(0)\nos.wait()\n{SILENT % 3}"
    assert children.run(python(leaves), cwd=tmp_path, limits=LIMITS).stopped is None
    wait_until(lambda: children.end_all() == (), 5, "the server is gone")


def test_between_two_measures_nothing_counts_twice() -> None:
    """A child's time that is in its parent's once it was reaped; an orphan that is gone; a number used again."""
    tick = os.sysconf("SC_CLK_TCK")
    before = {
        (1, 1): Used(5 * tick, orphan=True),
        (2, 2): Used(3 * tick, orphan=False),
        (3, 3): Used(tick, orphan=True),
    }
    after = {(1, 1): Used(9 * tick, orphan=True), (3, 4): Used(2 * tick, orphan=True)}
    assert seconds_between(before, after) == 9 + 2 - 5 - 3
    assert seconds_between(before, {}) == 0.0
    assert seconds_between({}, before) == 9.0


@pytest.mark.parametrize(("building", "ends"), [(WAYS["in a session of its own"], None), (SILENT % 60, "idle")])
def test_a_build_of_uv_s(children: Children, tmp_path: Path, uv_program: Path, building: str, ends: str | None) -> None:
    """Through uv, its build environment and a build back end: the compiler counts, though uv itself only waits."""
    with PackageIndex(tmp_path / "index") as index:
        index.sdist("built", "1.0", building=building)
        argv = [str(uv_program), "pip", "install", "--target", str(tmp_path / "out"), "--index-url", index.url]
        argv += ["--cache-dir", str(tmp_path / "cache"), "--python", sys.executable, "built"]
        finished = children.run(argv, cwd=tmp_path, limits=LIMITS)
    assert finished.stopped == ends, finished.output
    assert (tmp_path / "out" / "built").exists() == (ends is None)
    if ends:
        problem = of_build("built", finished, Limits(idle=900.0))
        assert problem.code == "build_stalled"
        assert "no output and no processor time for 15 minutes" in problem.message
        wait_until(lambda: not processes.marked(TASK), 5, "nothing of the build is left")


def test_the_reasons_of_builds() -> None:
    """By what ended it; a build that failed by itself has the reason of its output."""
    limits = Limits(idle=60.0, total=10800.0)
    assert of_build("x", Finished(-1, b"", "total"), limits).code == "build_timed_out"
    assert "3 hours" in of_build("x", Finished(-1, b"", "total"), limits).message
    assert of_build("x", Finished(1, b"error: command 'gcc' failed: No such file"), limits).code == "compiler_missing"
    assert of_skip("x").code == "build_skipped"
