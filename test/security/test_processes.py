"""What packs' scripts leave running, however they hide it: nothing of it outlives the script, the cancel or the run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.runner.process import processes
from app.runner.process.locks import is_locked
from app.runner.process.paths import ui_home_lock
from app.standin.git_server import GitServer
from app.standin.packs import Pack, make_pack
from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import QUICK, Rig, node
from test.support.small_disk import small_disk_at
from test.support.waiting import wait_until
from test.verify.conftest import Verify, verify
from test.verify.test_restart import Running, running

__all__ = ["old_python", "rig", "rig_factory", "running", "verify"]
pytestmark = pytest.mark.slow

_FORKED = """import os, signal, subprocess, sys
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for fd in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    os.execve('/bin/sh', ['sh', '-c', 'echo $$ >> PIDS; exec sleep 600'], {})
os.wait()
"""
"""It keeps what it inherited, but for its environment."""
_CLOSED = """import os, signal, subprocess, sys
words = ['setsid', '-f', 'env', '-i', 'sh', '-c', 'echo $$ >> PIDS; exec sleep 600']
subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
"""
"""It keeps nothing."""
_THEN_WAIT = """
while not os.path.exists('PIDS') or not open('PIDS').read():
    pass
"""
_BOTH = f"""{_FORKED}{_CLOSED}
while not os.path.exists('PIDS') or len(open('PIDS').read().split()) < 2:
    pass
"""
_HANG = "print('up', flush=True)\nsignal.pause()\n"


_KILL_BOTH = """
runner = os.getppid()
caretaker = int(open('/proc/%d/stat' % runner).read().rpartition(')')[2].split()[1])
os.kill(caretaker, signal.SIGKILL)
os.kill(runner, signal.SIGKILL)
"""
"""Nobody is left to adopt anything."""


class Hidden:
    """Where daemons of packs note their pids."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        self._file = folder / "pids"
        self._server = server

    def pack(self, script: str, *, name: str = "pack", files: Mapping[str, str] | None = None) -> Pack:
        """Its install.py does this; PIDS, in any of its files, is the file for its daemon's pid."""
        files = {path: text.replace("PIDS", str(self._file)) for path, text in (files or {}).items()}
        return make_pack(self._server, "o", name, install_py=script.replace("PIDS", str(self._file)), files=files)

    def pids(self) -> list[int]:
        return [int(word) for word in self._file.read_text().split()] if self._file.exists() else []

    def alive(self) -> list[int]:
        return [pid for pid in self.pids() if processes.start_time(pid) is not None]

    def wait(self) -> None:
        wait_until(lambda: len(self.pids()) == 2, what="both daemons run")


@pytest.fixture
def hidden(tmp_path: Path, git_server: GitServer) -> Iterator[Hidden]:
    """At the end nothing is left, also where the test failed."""
    found = Hidden(tmp_path, git_server)
    yield found
    for pid in found.alive():
        os.kill(pid, signal.SIGKILL)


def test_a_daemon_without_our_mark_ends_with_its_script(rig: Rig, hidden: Hidden) -> None:
    """The script ended well, and so does its pack; the warning names the program. The next install waits for
    nothing."""
    run = rig.install([node(hidden.pack(_BOTH))])
    assert len(hidden.pids()) == 2 and not hidden.alive()
    assert run.state("pack") == "installed", run.said()
    (warning,) = [each for each in run.snapshot().warnings if each.code == "left_running"]
    programs = ", ".join(f"sleep 600 (process {pid})" for pid in sorted(hidden.pids()))
    assert f"install.py of pack left programs running, which were ended: {programs}." in str(warning.message)
    assert not is_locked(_lock_of(rig))


def _lock_of(rig: Rig) -> Path:
    return rig.state / "locks" / ui_home_lock(rig.ui_home).name


def test_a_daemon_without_our_mark_ends_with_a_cancel(rig: Rig, hidden: Hidden) -> None:
    run = rig.start([node(hidden.pack(_BOTH + _HANG))])
    hidden.wait()
    assert run.cancel() == "ended"
    assert not hidden.alive()
    assert not is_locked(_lock_of(rig))


def test_a_daemon_without_our_mark_ends_with_a_killed_runner(rig: Rig, hidden: Hidden) -> None:
    """Without any sweep: the run has a caretaker that adopts it."""
    run = rig.start([node(hidden.pack(_BOTH + _HANG))])
    hidden.wait()
    run.kill_runner()
    wait_until(lambda: not hidden.alive() and not run.processes(), 15, "all is ended")
    assert run.status() == "died"


def test_an_install_script_that_kills_its_runner_gains_nothing(rig: Rig, hidden: Hidden) -> None:
    """The run has died, which the service tells as `runner_lost`; nothing of it is left."""
    run = rig.start([node(hidden.pack(_BOTH + "os.kill(os.getppid(), signal.SIGKILL)\n" + _HANG))])
    wait_until(run.is_over, what="the runner is gone")
    wait_until(lambda: not hidden.alive() and not run.processes(), 15, "all is ended")
    assert run.status() == "died"
    assert len(hidden.pids()) == 2


def test_a_sweep_finds_what_a_killed_runner_and_its_caretaker_left(rig: Rig, hidden: Hidden) -> None:
    """Before anybody has looked."""
    script = _BOTH + f"{_KILL_BOTH}signal.pause()\n"
    run = rig.start([node(hidden.pack(script))])
    wait_until(run.is_over, what="the runner is gone")
    assert len(hidden.alive()) == 2 and not is_locked(_lock_of(rig))
    assert run.sweep()["ended_processes"] >= 3
    assert not hidden.alive() and not run.processes()


def test_the_next_install_ends_what_a_killed_one_left(rig: Rig, hidden: Hidden) -> None:
    """Nobody has swept. The lock says who held it last."""
    run = rig.start([node(hidden.pack(_FORKED + _THEN_WAIT + _KILL_BOTH + _HANG))])
    wait_until(run.is_over, what="the runner is gone")
    assert hidden.alive()
    after = rig.install([node(hidden.pack("", name="other"))])
    assert after.state("other") == "installed"
    assert not hidden.alive() and not run.processes()


def test_a_lock_that_only_a_daemon_holds_is_freed(rig: Rig, hidden: Hidden) -> None:
    """Earlier versions let every program inherit it, and waited for an hour."""
    lock = _lock_of(rig)
    lock.parent.mkdir(parents=True, mode=0o700)
    lock.parent.parent.chmod(0o700)
    with subprocess.Popen(["setsid", "flock", "-n", str(lock), "sleep", "600"]) as holder:
        try:
            wait_until(lambda: is_locked(lock), what="it is held")
            assert rig.install([node(hidden.pack(""))]).state("pack") == "installed"
        finally:
            holder.kill()


def test_a_lock_that_another_run_holds_is_waited_for(rig: Rig, hidden: Hidden) -> None:
    first = rig.start([node(hidden.pack(_HANG_AT_ONCE))])
    wait_until((rig.custom_nodes / "pack" / "up").exists, what="the first one works")
    second = rig.start([node(hidden.pack("", name="other"))])
    wait_until(lambda: [each for each in second.events() if "Waiting for another" in str(each.body)], what="it waits")
    assert not first.is_over() and first.processes()
    assert first.cancel() == "ended"
    second.wait()
    assert second.state("other") == "installed"


_HANG_AT_ONCE = "import signal\nopen('up', 'w').close()\nprint('up', flush=True)\nsignal.pause()\n"
_STUBBORN = {
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "ignores TERM": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()",
    "forks at TERM": """
def again(*_):
    if os.fork() == 0:
        open('PIDS', 'a').write('%d ' % os.getpid())
signal.signal(signal.SIGTERM, again)
while True: signal.pause()""",
    "forks all the time": """
for _ in range(300):
    if os.fork():
        os._exit(0)
    open('PIDS', 'a').write('%d ' % os.getpid())
    time.sleep(0.02)
signal.pause()""",
    "changes its session all the time": """
for _ in range(300):
    if os.fork():
        os._exit(0)
    os.setsid()
    open('PIDS', 'a').write('%d ' % os.getpid())
    time.sleep(0.02)
signal.pause()""",
}


def test_a_program_that_will_not_be_ended_is_ended(rig: Rig, hidden: Hidden) -> None:
    """Each in a session of its own, with an empty environment."""
    begin = "import os, signal, time\nopen('PIDS', 'a').write('%d ' % os.getpid())\nopen('PIDS ' + {0!r}, 'w')\n"
    codes = [f"{begin.format(how)}{code}\n" for how, code in _STUBBORN.items()]
    script = f"""import os, signal, sys
for code in {codes!r}:
    if os.fork() == 0:
        os.setsid()
        for fd in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        os.execve(sys.executable, ['python', '-I', '-S', '-c', code], {{}})
while not all(os.path.exists('PIDS ' + how) for how in {list(_STUBBORN)!r}):
    pass
"""
    run = rig.install([node(hidden.pack(script))])
    assert run.state("pack") == "installed", run.said()
    assert len(hidden.pids()) >= len(_STUBBORN) and not hidden.alive()


def test_thousands_of_dead_children_are_buried(rig: Rig, hidden: Hidden) -> None:
    """The runner adopts them; each would keep its number until the run ends."""
    script = """import os, time
for _ in range(250):
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
        os._exit(0)
    os.wait()
def dead():
    found = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            words = open('/proc/%s/stat' % pid).read().rpartition(')')[2].split()
        except OSError:
            continue
        found += words[0] == 'Z' and int(words[1]) == os.getppid()
    return found
left = dead()
for _ in range(200):
    if not left:
        break
    time.sleep(0.05)
    left = dead()
raise SystemExit('%d dead children' % left if left else 0)
"""
    run = rig.install([node(hidden.pack(script))])
    assert run.state("pack") == "installed", run.said()


def test_a_number_that_is_used_again_is_nobody_of_the_runs(rig: Rig, hidden: Hidden) -> None:
    """What the run recorded has this number, and started at another time."""
    run = rig.install([node(hidden.pack(""))])
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        try:
            boot = processes.boot_id()
            with (run.folder / "groups").open("a") as groups:
                groups.write(f"{other.pid} 17 {boot}\n")
            assert run.sweep()["ended_processes"] == 0
            assert other.poll() is None
        finally:
            other.kill()


_LIMITS = {**QUICK, "script_processes": 15, "script_memory": 250e6}
_GREEDY = {
    "process_limit": """import os, signal
for _ in range(200):
    if os.fork() == 0:
        signal.pause()
signal.pause()
""",
    "memory_limit": """import signal
kept = bytearray(350_000_000)
for at in range(0, len(kept), 4096):
    kept[at] = 1
signal.pause()
""",
}


def test_a_script_that_uses_more_than_it_may_is_ended(rig: Rig, hidden: Hidden) -> None:
    """With a reason of its own; the next pack is installed, and nothing is left."""
    packs = [hidden.pack(script, name=code) for code, script in _GREEDY.items()]
    run = rig.install([node(pack) for pack in (*packs, hidden.pack("", name="other"))], limits=_LIMITS)
    assert [run.state(code) for code in _GREEDY] == [f"failed {code}" for code in _GREEDY], run.said()
    assert run.state("other") == "installed"
    assert not run.processes()


@pytest.fixture
def small_disk(rig: Rig) -> Iterator[Path]:
    """custom_nodes on a file system of 64 MB."""
    with small_disk_at(rig.custom_nodes, "size=64m") as folder:
        yield folder
        rig.end()


def test_a_script_that_fills_the_disk_is_ended_before_it_is_full(rig: Rig, small_disk: Path, hidden: Hidden) -> None:
    """So that the run, ComfyUI and other packs can still write."""
    script = "import signal\nopen('large', 'wb').write(bytes(45_000_000))\nsignal.pause()\n"
    run = rig.install([node(hidden.pack(script))], limits={**QUICK, "script_disk": 25e6})
    assert run.state("pack") == "failed disk_limit", run.said()
    assert os.statvfs(small_disk).f_bavail


_AT_IMPORT = _FORKED + _THEN_WAIT


def test_a_daemon_of_an_import_ends_with_the_check_and_lives_in_comfyui(
    rig: Rig, hidden: Hidden, verify: Verify, running: Running
) -> None:
    """ComfyUI is restarted by the run, outlives it, and so does what it starts."""
    (before,) = running.pids()
    pack = hidden.pack("", files={"__init__.py": _AT_IMPORT + "NODE_CLASS_MAPPINGS = {'pack': object}\n"})
    run = verify([pack], restart=True)
    assert run.state("pack") == "verified", run.said()
    (after,) = running.pids()
    assert after != before
    wait_until(lambda: len(hidden.pids()) > 1, what="the restarted ComfyUI has its daemon")
    assert hidden.alive() == hidden.pids()[-1:]
    assert "left_running" in {each.code for each in run.snapshot().warnings}
    assert run.sweep()["ended_processes"] == 0
    assert hidden.alive() == hidden.pids()[-1:]
    assert running.answers()


def test_packs_code_is_what_the_kernel_kills_first(rig: Rig, hidden: Hidden) -> None:
    """When memory runs out faster than anybody looks; and it cannot open all files that there are."""
    script = """import resource
first = open('/proc/self/oom_score_adj').read().strip()
print(first, resource.getrlimit(resource.RLIMIT_NOFILE))
raise SystemExit(int(first) < 500 or resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 65536)
"""
    run = rig.install([node(hidden.pack(script))])
    assert run.state("pack") == "installed", run.said()
