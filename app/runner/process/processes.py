"""Which processes belong to a run, and ending them.

A process is the run's if it carries the run's mark in its environment (every child inherits it), or if it is in a
group that the run recorded (checked by boot id and start time). Never by a stored pid alone: numbers are used again.
Source of the formats: proc(5).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from app.runner.process import audit
from app.runner.process.limit_mark import carries
from app.runner.process.user import user_of_process

MARK = "NODEFERRY_TASK_ID"
_ASK_SECONDS = 5.0
_TERM_SECONDS = 2.0
_KILL_SECONDS = 3.0
_KILL_PAUSE = 0.005


def boot_id() -> str:
    """The kernel's id of this boot; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def start_time(pid: int) -> Optional[int]:
    """When the process started, in clock ticks since boot; None if it is gone or a zombie."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def group_of(pid: int) -> Optional[int]:
    """The process group; None if it is gone or a zombie."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[2])


def parent_of(pid: int) -> Optional[int]:
    """The parent; None if the process is gone."""
    fields = stat_fields(pid)
    return None if fields is None else int(fields[1])


def arguments_of(pid: int) -> List[str]:
    """A process's arguments, the program first; none where it has ended or is another user's."""
    return _words_of(pid, "cmdline")


def environ_of(pid: int) -> Dict[str, str]:
    """A process's environment as it was started with; empty where it cannot be read."""
    return dict(part.split("=", 1) for part in _words_of(pid, "environ") if "=" in part)


def link_of(pid: int, name: str) -> str:
    """Where a link in a process's folder of /proc leads: `cwd` to its working folder, `fd/1` to its output. Raises
    OSError where that cannot be read."""
    path = "/proc/%d/%s" % (pid, name)
    try:
        return os.readlink(path)
    except PermissionError:
        return os.fsdecode(_as_its_user(pid, ["readlink", "-n", path]))


def file_ids_of(pid: int, names: Sequence[str]) -> List[Tuple[int, int]]:
    """Which files links in a process's folder of /proc lead to (`cwd`, `root`, `exe`), as device and inode: the name
    that a link shows may be another file's here, in another container's view. Raises OSError."""
    paths = ["/proc/%d/%s" % (pid, name) for name in names]
    try:
        return [(about.st_dev, about.st_ino) for about in map(os.stat, paths)]
    except PermissionError:
        words = _as_its_user(pid, ["stat", "-L", "-c", "%d %i", *paths]).split()
        numbers = list(map(int, words))
        return list(zip(numbers[::2], numbers[1::2]))


def _as_its_user(pid: int, argv: List[str]) -> bytes:
    """What a program prints that runs as the process's user. In most containers root may not look into other users'
    processes (it has no CAP_SYS_PTRACE), but those users may. Raises OSError."""
    user = user_of_process(pid)
    if os.geteuid() != 0 or user is None or user.uid == 0:
        raise PermissionError(errno.EPERM, "this process is another user's")
    entry = audit.begin(argv, user=user, why="look at a process of this user's")
    try:
        done = subprocess.run(
            argv,
            user=user.uid,
            group=user.gid,
            extra_groups=user.groups,
            capture_output=True,
            timeout=_ASK_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError as exc:
        raise OSError(errno.EIO, str(exc)) from None
    finally:
        entry.end()
    return done.stdout


def _words_of(pid: int, file: str) -> List[str]:
    path = "/proc/%d/%s" % (pid, file)
    try:
        raw = _content(path)
    except PermissionError:
        try:
            raw = _as_its_user(pid, ["cat", path])
        except OSError:
            return []
    except OSError:
        return []
    return raw.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0") if raw else []


def stat_fields(pid: int) -> Optional[List[str]]:
    """The fields of /proc/PID/stat from the state on; the name before them may hold anything."""
    try:
        text = _content("/proc/%d/stat" % pid).decode("utf-8", "replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _content(path: str) -> bytes:
    """A file of /proc, in a third of the time that `open` takes: some looks read one for each process. Raises
    OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(fd, 65536):
            pieces.append(piece)
    finally:
        os.close(fd)
    return b"".join(pieces)


def pids() -> List[int]:
    """Every process that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def marked(task_id: str) -> Set[int]:
    """The processes that carry the run's mark, in their environment or as a limit. This one and zombies are left
    out."""
    mark = ("%s=%s" % (MARK, task_id)).encode("ascii")
    others = [pid for pid in pids() if pid != os.getpid()]
    return {pid for pid in others if _is_marked(pid, mark, task_id) and start_time(pid) is not None}


def _is_marked(pid: int, mark: bytes, task_id: str) -> bool:
    if carries(pid, task_id):
        return True
    try:
        return mark in marks_of(pid).split(b"\0")
    except OSError:
        return False


def marks_of(pid: int) -> bytes:
    """Its environment. Of another user's, which root may not look into, only orphans of ours are asked about. Raises
    OSError."""
    path = "/proc/%d/environ" % pid
    try:
        return _content(path)
    except PermissionError:
        if parent_of(pid) != os.getpid():
            raise
        return _as_its_user(pid, ["cat", path])


def in_groups(groups: Dict[int, int], boot: str) -> Set[int]:
    """The processes of the recorded groups {group: start time of its leader}, if this is still the same boot."""
    if not boot or boot != boot_id():
        return set()
    found = set()
    for pid in pids():
        group = group_of(pid)
        started = start_time(pid)
        if group in groups and started is not None and started >= groups[group] and _same_leader(group, groups):
            found.add(pid)
    return found - {os.getpid()}


def _same_leader(group: int, groups: Dict[int, int]) -> bool:
    """Whether the group's leader is the recorded one or gone. A number cannot be used again while its group lives."""
    leader = start_time(group)
    return leader is None or leader == groups[group]


def exit_code(child: subprocess.Popen[bytes]) -> Optional[int]:
    """How a child has ended, as its `returncode`; None while it runs. It is not waited for: until that is done its
    number is nobody else's, and signals to it and to its group reach nobody else."""
    if child.returncode is not None:
        return child.returncode
    try:
        found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # somebody else has waited for it
        return child.poll()
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def end_group(child: subprocess.Popen[bytes]) -> None:
    """TERM, then KILL, to the group of a child that was not waited for."""
    if _signal_group(child.pid, signal.SIGTERM) and not until(lambda: not _live_in(child.pid), _TERM_SECONDS):
        _signal_group(child.pid, signal.SIGKILL)


def wait_and_end_group(child: subprocess.Popen[bytes]) -> None:
    """As `end_group`, and waits, for a child that has ended by itself. Mostly nobody is left in its group, which shows
    once it was waited for, and then nothing has to be looked for."""
    _signal_group(child.pid, signal.SIGTERM)
    child.wait()
    stays = _signal_group(child.pid, 0) and not until(lambda: not _live_in(child.pid), _TERM_SECONDS)
    if stays and start_time(child.pid) is None:  # else the number is another's by now: a group keeps it while it lives
        _signal_group(child.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """False when nobody is left in it, which after a child's own end is what is usual: nothing has to be looked for."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody is there who changed its user
    return True


def _live_in(group: int) -> bool:
    return any(group_of(pid) == group for pid in pids())


def ticks_since_boot() -> int:
    """Now, as the start times of processes are counted."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def end_all(find: Callable[[], Set[int]], *, at_once: bool = False) -> int:
    """Ends every process that `find()` gives, TERM first unless `at_once`, and whoever they start meanwhile, until none
    is left or the deadline has passed. Returns how many there were."""
    first = find()
    if not first:
        return 0
    if not at_once and _end_gently(first, find):
        return len(first)
    deadline = time.monotonic() + _KILL_SECONDS
    while (left := find()) and time.monotonic() < deadline:
        kill_now(left)
        select.select([], [], [], _KILL_PAUSE)
    return len(first)


def _end_gently(found: Set[int], find: Callable[[], Set[int]]) -> bool:
    for pid in found:
        _signal(pid, signal.SIGTERM)
        _signal(pid, signal.SIGCONT)  # one that is stopped would not notice
    return until(lambda: not find(), _TERM_SECONDS)


def kill_now(found: Set[int]) -> None:
    """KILL to these processes, and to the groups that they alone are in: a fork that is under way in a group that is
    killed does not come about, so nobody outruns this by forking. This process's own group is spared."""
    groups: Dict[int, Set[int]] = {}
    for pid in pids():
        group = group_of(pid)
        if group is not None:
            groups.setdefault(group, set()).add(pid)
    for group, inside in groups.items():
        if inside <= found and group != os.getpgrp():
            _signal_group(group, signal.SIGKILL)
    for pid in found:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def until(gone: Callable[[], bool], seconds: float) -> bool:
    """Waits for `gone()`; other processes' ends cannot be waited on, so it looks again each 50 ms."""
    deadline = time.monotonic() + seconds
    while not gone():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.05)
    return True
