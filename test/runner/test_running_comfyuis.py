"""Which processes of a machine count as a running ComfyUI: real processes, told apart by what they are."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.runner.machine.comfyui_processes import Seen, look, script_at
from app.runner.machine.layout import base_of
from app.runner.process.processes import arguments_of, start_time
from app.standin.other_user import UID, python_for_all
from test.support.waiting import wait_until

WAITS = "import sys\nprint('up', flush=True)\nsys.stdin.read()\n"
Start = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that looks like ComfyUI's, and whose main.py waits for the end of its input."""
    return make_home(tmp_path / "ComfyUI")


def make_home(folder: Path, code: str = WAITS) -> Path:
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").write_text(code)
    return folder


@contextmanager
def started(argv: Sequence[str | Path], cwd: Path, **options: object) -> Iterator[int]:
    """A program that has said that it is up, for the block."""
    child = subprocess.Popen(
        list(map(str, argv)),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    )
    try:
        assert child.stdout.readline() == b"up\n"
        yield child.pid
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
        child.stdin.close()
        child.stdout.close()


def of(folder: Path, seen: Seen) -> list[int]:
    """The processes that run from this folder."""
    return [process.pid for process in seen.running if process.folder == folder.resolve()]


@pytest.mark.parametrize(
    ("words", "at"),
    [
        (["python", "main.py", "--listen"], 1),
        (["/venv/main/bin/python3.12", "-u", "/workspace/ComfyUI/main.py"], 2),
        (["python3", "-X", "faulthandler", "-W", "ignore", "-s", "-I", "ComfyUI/main.py"], 7),
        (["python", "-Wignore", "-Xdev", "main.py"], 3),
        (["python", "-m", "pytest", "main.py"], None),
        (["python", "-c", "pass", "main.py"], None),
        (["python", "other.py", "main.py"], None),
        (["python", "/opt/conda/bin/conda", "run", "python", "main.py"], None),
        (["vim", "main.py"], None),
        (["tail", "-f", "python", "main.py"], None),
        (["python"], None),
        ([""], None),
        ([], None),
    ],
)
def test_a_command_line_is_read_as_python_reads_it(words: list[str], at: int | None) -> None:
    """An editor, a test run or another script that has main.py among its arguments is no ComfyUI."""
    assert script_at(words) == at


def test_what_runs_and_what_only_looks_so(home: Path, tmp_path: Path) -> None:
    """Started by a relative path from elsewhere, with Python's own options; beside it another program's main.py, a
    script that gets main.py as an argument, and a quick test of this folder."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "main.py").write_text(WAITS)
    (other / "tool.py").write_text(WAITS)
    with (
        started([sys.executable, "-u", "-X", "dev", "ComfyUI/main.py", "--base-dir=base"], tmp_path) as real,
        started([sys.executable, "main.py"], other),
        started([sys.executable, other / "tool.py", home / "main.py"], tmp_path),
        started([sys.executable, "main.py", "--quick-test-for-ci"], home),
    ):
        seen = look()
        assert of(home, seen) == [real]
        assert of(other, seen) == []
        (process,) = [each for each in seen.running if each.pid == real]
        assert base_of(process) == (tmp_path / "base").resolve()
        assert os.path.samefile(process.python, sys.executable)


def test_a_worker_that_it_forked_is_none_of_its_own(tmp_path: Path) -> None:
    """It has the same command line, and must not be restarted beside it."""
    home = make_home(
        tmp_path / "ComfyUI", "import os, sys\nif os.fork():\n    print('up', flush=True)\nsys.stdin.read()\n"
    )
    with started([sys.executable, "main.py"], home) as pid:
        same = [each for each in map(int, filter(str.isdigit, os.listdir("/proc"))) if _same_line(each, pid)]
        assert len(same) == 2
        assert of(home, look()) == [pid]


def _same_line(one: int, other: int) -> bool:
    """Of two processes in one folder; other tests start theirs at the same time."""
    try:
        folders = [os.readlink(f"/proc/{each}/cwd") for each in (one, other)]
    except OSError:  # one of them has ended
        return False
    return folders[0] == folders[1] and arguments_of(one) == arguments_of(other)


def test_one_whose_folder_was_removed_does_not_count(home: Path) -> None:
    """Somebody removed ComfyUI and put another one in its place: the old process cannot be started again from there."""
    with started([sys.executable, "main.py", "--port", "1"], home) as pid:
        shutil.rmtree(home)
        make_home(home)
        seen = look()
        assert of(home, seen) == []
        (other,) = [each for each in seen.out_of_reach if each.pid == pid]
        assert "folder that was removed" in str(other)


def test_a_zombie_does_not_count(home: Path) -> None:
    """Its parent has not asked for its end yet."""
    child = subprocess.Popen([sys.executable, "main.py"], cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_until(lambda: start_time(child.pid) is None, 10, "it has ended")
    assert child.pid not in [process.pid for process in look().running]
    child.wait(10)


def test_an_interpreter_under_another_name_is_found_by_its_environment(home: Path, tmp_path: Path) -> None:
    """`python` is called by name, and PATH has another one first by now: the active environment says which it is."""
    wrong, right = tmp_path / "wrong", tmp_path / "venv" / "bin"
    for folder in (wrong, right):
        folder.mkdir(parents=True)
    (wrong / "python").write_text("#!/bin/sh\n")
    (wrong / "python").chmod(0o755)
    (right / "python").symlink_to(sys.executable)
    environ = {"PATH": f"{wrong}:/usr/bin:/bin", "VIRTUAL_ENV": str(right.parent)}
    with started(["python", "main.py"], home, env=environ, executable=str(right / "python")) as pid:
        (process,) = [each for each in look().running if each.pid == pid]
        assert process.python == str(right / "python")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")


CONTAINER = """
for name in usr lib lib64 bin; do
    if [ -L /$name ]; then ln -s "$(readlink /$name)" {root}/$name
    elif [ -d /$name ]; then mkdir {root}/$name && mount --rbind /$name {root}/$name
    fi
done
exec chroot {root} {python} {main} --port 1
"""
"""The machine's programs under another root. The mounts are in a namespace that ends with the process."""


@needs_root
def test_one_in_another_containers_files_does_not_count(tmp_path: Path) -> None:
    """Root of a host sees the processes of its containers: the same paths lead to other files there."""
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a mount namespace")
    home, root = make_home(tmp_path / "ComfyUI"), tmp_path / "container"
    make_home(root / str(home).lstrip("/"))
    script = CONTAINER.format(root=root, python=python_for_all(), main=home / "main.py")
    with started(["unshare", "-m", "sh", "-ec", script], Path("/")) as pid:
        seen = look()
        assert of(home, seen) == []
        (other,) = [each for each in seen.out_of_reach if each.pid == pid]
        assert "in another container" in str(other)


@needs_root
def test_a_namespace_of_its_own_counts_while_its_files_are_ours(home: Path, tmp_path: Path) -> None:
    """systemd gives a service its own /tmp: that one is still ours. One that sees another folder under that name is
    not."""
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a mount namespace")
    with started(["unshare", "-m", sys.executable, "main.py"], home) as pid:
        assert of(home, look()) == [pid]
    hidden = make_home(tmp_path / "hidden")
    script = f"mount --bind {hidden} {home} && cd {home} && exec {sys.executable} main.py --port 1"
    with started(["unshare", "-m", "sh", "-c", script], tmp_path) as pid:
        seen = look()
        assert of(home, seen) == []
        assert pid in [each.pid for each in seen.out_of_reach]


@needs_root
def test_another_users_counts_for_root_and_for_nobody_else(tmp_path: Path, pyz: Path) -> None:
    """A login that may not look into it is told so, and does not take it for its own."""
    python = python_for_all()
    top = Path("/tmp") / f"nodeferry-reach-{os.getpid()}"
    try:
        home = make_home(top / "ComfyUI")
        shutil.copy(pyz, top / "runner.pyz")
        for path in [top, *top.rglob("*")]:
            path.chmod(0o755)
        with started([python, home / "main.py", "--listen"], home, user=UID, group=UID, extra_groups=[]) as pid:
            assert of(home, look()) == [pid]
        with started([python, home / "main.py", "--listen"], home) as pid:
            argv = [
                python,
                "-I",
                "-S",
                str(top / "runner.pyz"),
                "probe",
                str(uuid.uuid4()),
                "--ui-home",
                str(home),
                "--nonce",
                "5eed",
            ]
            done = subprocess.run(
                argv,
                user=UID,
                group=UID,
                extra_groups=[],
                env={"HOME": str(top / "x"), "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                cwd="/",
            )
            assert f"process {pid}" in done.stdout, (done.stdout, done.stderr)
            assert "belongs to user root, and this login may not look into it" in done.stdout
    finally:
        shutil.rmtree(top, ignore_errors=True)
