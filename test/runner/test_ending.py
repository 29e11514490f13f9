"""How runs end before their time: cancelled, killed, out of disk; and two of them in one ComfyUI."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.protocol.events import Event, ManifestRead, RunEnded, Waiting
from app.protocol.states import NodeState, TaskState
from app.runner.process import processes
from app.runner.process.locks import is_locked
from app.runner.process.paths import ui_home_lock
from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import Pack, make_pack
from test.runner.rig import Rig, Run, names_in, node
from test.support.waiting import wait_until

pytestmark = pytest.mark.slow

DAEMON = """import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
    while True:
        print("still here", flush=True)
        time.sleep(0.05)
"""


@pytest.fixture
def slow(git_server: GitServer) -> list[Pack]:
    """Three packs that never come to an end."""
    packs = [make_pack(git_server, "o", f"slow{number}", payload_bytes=400_000) for number in range(3)]
    for pack in packs:
        git_server.set_rule(pack.repo, RepoRule(stall_after_bytes=50_000))
    return packs


def started(rig: Rig, packs: list[Pack]) -> Run:
    """A run that is in the middle of its clones."""
    run = rig.start([node(pack) for pack in packs])
    wait_until(lambda: len(run.processes()) >= len(packs), 30, "git runs")
    wait_until(lambda: run.staging.is_dir() and len(names_in(run.staging)) == len(packs), 30, "clones have begun")
    return run


@pytest.mark.alone
def test_a_cancel_ends_everything_in_time(rig: Rig, slow: list[Pack]) -> None:
    """Within 5 s: no process of the run is left, staging is gone, and the journal ends with cancelled."""
    run = started(rig, slow)
    begun = time.monotonic()
    assert run.cancel() == "ended"
    assert time.monotonic() - begun < 5
    assert run.processes() == set()
    assert processes.start_time(run.pid()) is None
    assert names_in(rig.custom_nodes) == []
    snapshot = run.snapshot()
    assert snapshot.state is TaskState.CANCELLED
    assert {shown.state for shown in snapshot.nodes.values()} == {NodeState.CANCELLED}
    assert isinstance(run.events()[-1].body, RunEnded)


def test_cancelling_again_and_too_late_does_nothing(rig: Rig, git_server: GitServer, slow: list[Pack]) -> None:
    """The words stay the same, and so does what a finished run said."""
    run = started(rig, slow)
    assert (run.cancel(), run.cancel()) == ("ended", "ended")
    done = rig.install([node(make_pack(git_server, "o", "quick"))])
    assert done.cancel() == "ended"
    assert done.snapshot().state is TaskState.COMPLETED
    assert rig.call("cancel", "550e8400-e29b-41d4-a716-446655440000")["status"] == "unknown"


def test_a_term_to_the_runner_is_a_cancel(rig: Rig, slow: list[Pack]) -> None:
    """A machine that shuts down sends one."""
    run = started(rig, slow)
    os.kill(run.pid(), 15)
    run.wait()
    assert run.snapshot().state is TaskState.CANCELLED
    assert names_in(rig.custom_nodes) == []


def test_a_killed_runner_has_died_until_it_is_swept(rig: Rig, git_server: GitServer, slow: list[Pack]) -> None:
    """Its children keep the ui_home's lock; the sweep ends them and removes staging; then the ComfyUI is free."""
    run = started(rig, slow)
    run.kill_runner()
    assert run.status() == "died"
    assert run.follow()[-1].json == {"status": "died"}
    assert is_locked(_lock_of(rig))
    left = len(run.processes())
    answer = run.sweep()
    assert answer["status"] == "swept"
    assert answer["ended_processes"] >= left >= 3
    assert answer["removed"] == [str(run.staging)]
    assert not run.progress_file.exists(), "it would say `running` for ever"
    assert run.processes() == set()
    assert names_in(rig.custom_nodes) == []
    assert not is_locked(_lock_of(rig))
    assert run.sweep() == {"status": "swept", "ended_processes": 0, "removed": [], "rebooted": False}
    assert rig.install([node(make_pack(git_server, "o", "quick"))]).state("quick") == "installed"


def test_a_living_run_is_not_swept(rig: Rig, slow: list[Pack]) -> None:
    """The answer says why."""
    run = started(rig, slow)
    assert run.sweep()["error"]["code"] == "task_running"
    assert run.processes()


def test_a_new_run_beside_leftovers_waits_for_the_sweep(rig: Rig, git_server: GitServer, slow: list[Pack]) -> None:
    """It says what it waits for, and goes on by itself."""
    dead = started(rig, slow)
    dead.kill_runner()
    run = rig.start([node(make_pack(git_server, "o", "quick"))])
    wait_until(lambda: run.told(Waiting, code="waiting_for_ui_home"), 30, "the new run waits")
    assert run.snapshot().waiting is not None
    assert not run.told(ManifestRead)
    dead.sweep()
    run.wait()
    assert run.state("quick") == "installed"
    assert run.snapshot().waiting is None


def test_a_waiting_run_can_be_cancelled(rig: Rig, slow: list[Pack]) -> None:
    """Without touching the one that it waits for."""
    first = started(rig, slow)
    second = rig.start([node(slow[0])])
    wait_until(lambda: second.told(Waiting), 30, "the second waits")
    assert second.cancel() == "ended"
    assert second.snapshot().state is TaskState.CANCELLED
    assert first.status() == "running"


def test_two_runs_in_one_comfyui_never_overlap(rig: Rig, git_server: GitServer) -> None:
    """One works only after the other has ended, also by another path to the same folder; both end well."""
    packs = [make_pack(git_server, "o", f"p{number}", payload_bytes=200_000) for number in range(2)]
    for pack in packs:
        git_server.set_rule(pack.repo, RepoRule(bytes_per_second=400_000))
    link = rig.home / "link"
    link.symlink_to(rig.ui_home)
    runs = [rig.start([node(packs[0])]), rig.start([node(packs[1])], ui_home=str(link))]
    for run in runs:
        run.wait()
        assert run.snapshot().state is TaskState.COMPLETED
    first, second = sorted(_worked(run.events()) for run in runs)
    assert first[1] <= second[0]
    assert names_in(rig.custom_nodes) == ["p0", "p1"]


def test_what_an_install_script_leaves_behind_ends_with_the_run(rig: Rig, git_server: GitServer) -> None:
    """Also a daemon in a session of its own that ignores TERM; and it does not hold up the script's end."""
    run = rig.install([node(make_pack(git_server, "o", "pack", install_py=DAEMON))])
    assert run.state("pack") == "installed"
    assert run.processes() == set()
    assert not is_locked(_lock_of(rig))


@pytest.mark.alone
def test_a_cancel_ends_daemons_too(rig: Rig, git_server: GitServer) -> None:
    """In less than 5 s."""
    run = rig.start([node(make_pack(git_server, "o", "pack", install_py=DAEMON + "time.sleep(600)\n"))])
    wait_until(lambda: len(run.processes()) >= 3, 30, "the daemons run")
    begun = time.monotonic()
    assert run.cancel() == "ended"
    assert time.monotonic() - begun < 5
    assert run.processes() == set()


@pytest.mark.alone
def test_a_script_that_ignores_term_is_killed(rig: Rig, git_server: GitServer) -> None:
    """A cancel takes no longer for it than TERM's grace."""
    text = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)\n"
    run = rig.start([node(make_pack(git_server, "o", "pack", install_py=text))])
    wait_until(lambda: b"up" in _node_log(run, "pack"), 30, "the script runs")
    begun = time.monotonic()
    assert run.cancel() == "ended"
    assert time.monotonic() - begun < 5
    assert run.processes() == set()


@pytest.fixture
def small_disk(rig: Rig) -> Iterator[Path]:
    """The state folder on a file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    rig.state.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "nodeferry-test", str(rig.state)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield rig.state
    for run in rig.runs:
        run.end()
    subprocess.run(["umount", "-l", str(rig.state)], check=True)


def fill(folder: Path, leave: int = 0) -> None:
    """Writes until nothing more goes in; then gives back `leave` bytes."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            file.truncate(max(0, file.tell() - leave))


def test_a_journal_that_cannot_be_written_ends_the_run(rig: Rig, slow: list[Pack], small_disk: Path) -> None:
    """It has kept room to say so: the run is failed with disk_full, its processes are gone."""
    run = rig.start([node(slow[0], name=f"pack-{number}") for number in range(20)])
    wait_until(run.processes, 30, "git runs")
    fill(small_disk)

    def kill_until_over() -> bool:
        """Each git that dies gives the runner something to write; the journal's last block has room for some of it."""
        for pid in run.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        return run.is_over()

    wait_until(kill_until_over, 20, "the run's end")
    error = run.snapshot().error
    assert error is not None
    assert error.code == "disk_full"
    assert run.status() == "ended"
    assert run.processes() == set()


def test_a_start_on_a_full_disk_is_refused_with_the_reason(rig: Rig, slow: list[Pack], small_disk: Path) -> None:
    """And can be tried again when there is room."""
    fill(small_disk)
    run = rig.start([node(slow[0])])
    assert run.answer["error"]["code"] == "runner_start_failed"
    assert "No space left" in run.answer["error"]["message"]
    (small_disk / "filler").unlink()
    assert run.start()["status"] == "running"
    assert run.cancel() == "ended"


@pytest.mark.alone
def test_the_runner_is_small(rig: Rig, slow: list[Pack]) -> None:
    """Under 60 MB resident, and hardly any processor while it waits."""
    run = started(rig, slow)
    ticks = os.sysconf("SC_CLK_TCK")
    used, begun = _processor_ticks(run.pid()), time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 2, 5)
    share = (_processor_ticks(run.pid()) - used) / ticks / (time.monotonic() - begun)
    resident = int(Path(f"/proc/{run.pid()}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    print(f"runner: {resident / 1e6:.1f} MB resident, {share:.1%} of a core")
    assert resident < 60e6
    assert share < 0.03


def _processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _node_log(run: Run, name: str) -> bytes:
    path = run.folder / "nodes" / f"{name}.log"
    return path.read_bytes() if path.exists() else b""


def _lock_of(rig: Rig) -> Path:
    return rig.state / "locks" / ui_home_lock(rig.ui_home).name


def _worked(events: list[Event]) -> tuple[float, float]:
    """From the first thing that a run did in its ComfyUI to its end, on the machine's monotonic clock."""
    begun = next(event.mono for event in events if isinstance(event.body, ManifestRead))
    return begun, events[-1].mono
