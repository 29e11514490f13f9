"""A pack's install.py against the programs that its run is made of, and against what they believe."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import QUICK, Rig, node
from test.security.test_processes import Hidden, hidden
from test.support.small_disk import small_disk_at
from test.support.waiting import wait_until

__all__ = ["hidden", "old_python", "rig", "rig_factory"]
pytestmark = pytest.mark.slow

_READ = """
import os
runner = os.getppid()
caretaker = int(open('/proc/%d/stat' % runner).read().rpartition(')')[2].split()[1])
for pid in (runner, caretaker):
    for what in ('mem', 'fd/0'):
        try:
            open('/proc/%d/%s' % (pid, what), 'rb').close()
            print('READ', what)
        except PermissionError:
            print('refused')
"""


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not here")
def test_a_script_cannot_read_the_memory_of_its_run(rig: Rig, hidden: Hidden, tmp_path: Path) -> None:
    """Of the runner, which knows the seal's secret, and of its caretaker: root neither, with the capabilities that it
    has in a container."""
    contained = tmp_path / "contained"
    python = shlex.quote(rig.python)
    contained.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace {python} "$@"\n')
    contained.chmod(0o755)
    rig.python = str(contained)
    run = rig.install([node(hidden.pack(_READ))])
    assert run.state("pack") == "installed", run.said()
    [log] = [path.read_text() for path in rig.state.rglob("pack.log")]
    assert log.count("refused") == 4, log


_RELEASES_ITSELF = """import os, signal, subprocess
boot = open('/proc/sys/kernel/random/boot_id').read().strip()
runner = os.getppid()
released = subprocess.run(['sh', '-c', 'ls -d ~/.local/state/nodeferry/*-*/'], capture_output=True, text=True)
child = subprocess.Popen(['setsid', 'env', '-i', 'sleep', '600'], stdin=-3, stdout=-3, stderr=-3)
started = open('/proc/%d/stat' % child.pid).read().rpartition(')')[2].split()[19]
with open(released.stdout.strip() + 'released', 'a') as file:
    file.write('%d %s %s\\nstarting 0 %s\\n' % (child.pid, started, boot, boot))
open('PIDS', 'w').write(str(child.pid))
os.kill(runner, signal.SIGKILL)
signal.pause()
"""


def test_a_script_that_says_that_its_daemon_outlives_the_run_gains_nothing(rig: Rig, hidden: Hidden) -> None:
    """It writes so into the run's notes, and kills the runner: the caretaker knows better."""
    run = rig.start([node(hidden.pack(_RELEASES_ITSELF))])
    wait_until(run.is_over, what="the runner is gone")
    wait_until(lambda: not hidden.alive() and not run.processes(), 15, "all is ended")
    assert run.status() == "died"
    assert hidden.pids()


_THREADS = """import threading
over = threading.Event()
for _ in range(2000):
    threading.Thread(target=over.wait, daemon=True).start()
over.wait()
"""
_FILES = """import os, signal
number = 0
while os.statvfs('.').f_favail > 10:
    number += 1
    open('f%d' % number, 'w').close()
signal.pause()
"""


def test_a_script_with_thousands_of_threads_is_ended(rig: Rig, hidden: Hidden) -> None:
    """It is one process, and the machine has only so many numbers for threads."""
    run = rig.install([node(hidden.pack(_THREADS))], limits={**QUICK, "script_processes": 40})
    assert run.state("pack") == "failed process_limit", run.said()


@pytest.fixture
def few_files(rig: Rig) -> Iterator[Path]:
    """custom_nodes on a file system that has room for 3,000 files."""
    with small_disk_at(rig.custom_nodes, "size=64m,nr_inodes=3000") as folder:
        yield folder
        rig.end()


def test_a_script_that_makes_files_is_ended_before_there_is_no_room_for_any(
    rig: Rig, few_files: Path, hidden: Hidden
) -> None:
    """Empty ones: the disk has free space, and nobody can write."""
    run = rig.install([node(hidden.pack(_FILES))], limits=QUICK)
    assert run.state("pack") == "failed disk_limit", run.said()
    assert os.statvfs(few_files).f_favail
