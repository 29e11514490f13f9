"""Running git, uv and the packs' scripts: each in a session of its own, with deadlines, and gone when the run is.

Every child carries the run's mark in its environment and as a limit, and inherits a descriptor of a file that only this
run's have open. `family` finds those that have none of these. The ui_home's lock is not inherited: a daemon that is
left would keep it. A new run never races what a killed one left, since whoever gets the lock ends that first
(`leftovers`).
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from copy import copy
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import AbstractSet, Any, BinaryIO, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from app.protocol.redaction import MaskedLines, masked
from app.runner.process import audit, processes, processor_time
from app.runner.process.child_output import ChildOutput
from app.runner.process.errors import RunCancelled
from app.runner.process.execute import base_environ
from app.runner.process.family import Family
from app.runner.process.groups import note_group
from app.runner.process.idle_watch import IdleWatch
from app.runner.process.limit_mark import put_on_children
from app.runner.process.load_watch import Load, LoadWatch, names_of
from app.runner.process.private_files import private
from app.runner.process.redrawn_lines import RedrawnLines
from app.runner.process.user import User

_TAIL_BYTES = 16 * 1024
_AFTER_EXIT_SECONDS = 0.5
_LEFT_SECONDS = 2.0
"""What ends within this after the child was only a little late: on a busy machine that takes longer."""
_STACK_SECONDS = 3.0
_LOG_BYTES = 16 * 1024 * 1024
"""A log takes no more of one child: what prints without end must not fill the disk."""
_NUMBERS = count(1)
_LOW_PRIORITY = ("/usr/bin/nice", "-n", "10")


@dataclass(frozen=True)
class Limits:
    """Seconds that a child may be silent, and may take in all. `busy`: seconds that it may be silent while it works, if
    that counts. `ask_stack`: a Python program with its fault handler on,
    which is asked where it stands (SIGABRT) before it is ended for these limits; its output has the answer."""

    idle: float = 120.0
    total: float = 1800.0
    busy: Optional[float] = None
    ask_stack: bool = False
    load: Optional[Load] = None
    """For packs' code: what it may use besides, and that nothing of it is left when it has ended."""


@dataclass(frozen=True)
class Finished:
    """How a child ended. `stopped` is None, or why it was ended: `idle`, `total`, `processes`, `memory`, `disk`."""

    code: int
    raw: bytes
    """The end of what it wrote, stdout and stderr together unless asked otherwise."""
    stopped: Optional[str] = None
    enough: bool = False
    """It was ended since it had shown all that was wanted; its code is 0 then."""
    left: Tuple[str, ...] = ()
    """What packs' code that ended by itself had left running, in words. It was ended."""

    @property
    def output(self) -> str:
        """What it wrote, as text for people and patterns."""
        return self.raw.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """It ended by itself with status 0, or had shown all that was wanted."""
        return self.code == 0 and self.stopped is None

    def last_lines(self, count: int = 3) -> str:
        """Its last lines that are not empty, joined by ` | `, without secrets."""
        lines = [line.strip() for line in masked(self.output).replace("\r", "\n").split("\n") if line.strip()]
        return " | ".join(lines[-count:])


class Children:
    """The children of one run."""

    def __init__(self, task_id: str, groups_file: Path, cancelled: threading.Event) -> None:
        self._environ = {**base_environ(), processes.MARK: task_id}
        self._groups_file = groups_file
        self._cancelled = cancelled
        self.inherited_fd: Optional[int] = None
        """Of the file that the run's processes have open, and nobody else."""
        self.family = Family(groups_file.with_name("released"))
        self.disks: List[str] = [str(groups_file.parent), "/tmp", "/dev/shm"]  # noqa: S108 - asked how full they are
        """Folders on the file systems that packs' code must not fill."""

    @audit.noted
    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        environ: Optional[Mapping[str, str]] = None,
        limits: Limits = Limits(),
        on_output: Optional[Callable[[bytes], None]] = None,
        log: Optional[Path] = None,
        keep_bytes: int = _TAIL_BYTES,
        only_stdout: bool = False,
        low_priority: bool = False,
        user: Optional[User] = None,
        enough: Optional[Callable[[bytes], bool]] = None,
        unset: AbstractSet[str] = frozenset(),
    ) -> Finished:
        """Runs `argv` to its end or its limits. `on_output` gets each piece of stdout and stderr as it comes, and an
        empty one in each silence; the last `keep_bytes` of them are the result's output. `only_stdout`: warnings on
        stderr are dropped; `low_priority`: what others do comes first. `user`: as whom it runs, instead of as the
        runner's own user. `enough`: gets the end of its output whenever it is silent; true ends it, unless a program
        that it started runs. `unset`: variables of the machine's that it does not get. Raises RunCancelled when the run
        is asked to stop, after the child is gone; OSError when it cannot be started, or its log not be written."""
        if self._cancelled.is_set():
            raise RunCancelled
        mark = "%d-%d" % (os.getpid(), next(_NUMBERS))
        argv = [*(_LOW_PRIORITY if low_priority and os.access(_LOW_PRIORITY[0], os.X_OK) else ()), *argv]
        stderr = subprocess.DEVNULL if only_stdout else subprocess.STDOUT
        environ = {**self._inherited(unset), **(environ or {}), processor_time.CHILD_MARK: mark}
        child = self.family.start(lambda: self._begin(argv, cwd, environ, stderr, user))
        watch = self._watch(child.pid, mark, limits.load)
        over = _Limit(IdleWatch(child.pid, mark, limits.idle, limits.total, limits.busy), watch)
        ended = False
        try:
            note_group(self._groups_file, child.pid)
            if limits.ask_stack:
                _without_core(child.pid)

            def may_end(tail: bytes) -> bool:
                return bool(enough and enough(tail)) and processor_time.members(child.pid, mark) <= {child.pid}

            sinks = _Sinks(on_output, log)
            finished = self._follow(child, over, sinks, keep_bytes, ask_stack=limits.ask_stack, enough=may_end)
            ended = finished.stopped is None
            return replace(finished, left=_left_by(watch) if ended and not finished.enough else ())
        finally:
            self._end(child, mark, watch, ended=ended, at_once=over.stopped == "processes")

    def _inherited(self, unset: AbstractSet[str]) -> Dict[str, str]:
        return {name: value for name, value in self._environ.items() if name not in unset}

    def _begin(
        self, argv: List[str], cwd: Path, environ: Mapping[str, str], stderr: int, user: Optional[User]
    ) -> subprocess.Popen[bytes]:
        as_user: Dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": user.groups} if user else {}
        with put_on_children(self._environ[processes.MARK]):
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=str(cwd),
                env=dict(environ),
                start_new_session=True,
                pass_fds=() if self.inherited_fd is None else (self.inherited_fd,),
                **as_user,
            )

    def _follow(
        self,
        child: subprocess.Popen[bytes],
        clock: _Limit,
        sinks: _Sinks,
        keep_bytes: int,
        *,
        ask_stack: bool,
        enough: Callable[[bytes], bool],
    ) -> Finished:
        tail = bytearray()
        stopped = exited = None
        with sinks, ChildOutput(child) as output:
            while stopped is None:
                piece = output.read()
                now = time.monotonic()
                if piece:
                    clock.heard(now)
                    _keep(tail, piece, keep_bytes)
                sinks.apply(piece or b"")
                if exited is None and processes.exit_code(child) is not None:
                    exited = now
                if exited is not None and (piece == b"" or now - exited > _AFTER_EXIT_SECONDS):
                    break  # what it started may hold its output open, and go on writing
                if self._cancelled.is_set():
                    raise RunCancelled
                if piece is None and enough(bytes(tail)):
                    return Finished(0, bytes(tail[-keep_bytes:]), enough=True)
                stopped = clock.over(now)
            if stopped in ("idle", "total") and ask_stack:
                _keep(tail, _stack_of(child, output, sinks), keep_bytes)
        return Finished(-1 if stopped else int(processes.exit_code(child) or 0), bytes(tail[-keep_bytes:]), stopped)

    def until(self, over: threading.Event) -> Children:
        """The same, for children that `over` ends too, as a cancel does."""
        return self.cancelled_by(_Either(self._cancelled, over))

    def cancelled_by(self, cancelled: threading.Event) -> Children:
        """The same, for children that this event ends instead of the run's own cancel."""
        same = copy(self)
        same._cancelled = cancelled  # noqa: SLF001 - of this class
        return same

    def set_environ(self, environ: Mapping[str, str]) -> None:
        """All children from now on get these variables, too."""
        self._environ = {**self._environ, **environ}

    def end_all(self) -> Tuple[str, ...]:
        """Ends every process of the run's: what carries its mark, and what descends from its children. What they were,
        in words; helpers of git and the like are not worth any."""

        def find() -> Set[int]:
            return processes.marked(self._environ[processes.MARK]) | self.family.members()

        names = names_of(find())
        processes.end_all(find)
        self.family.reap()
        return tuple(names)

    def _watch(self, pid: int, mark: str, load: Optional[Load]) -> Optional[LoadWatch]:
        if load is None:
            return None
        watch = LoadWatch(pid, mark, self.family, load, self.disks)
        watch.on_group = lambda group: note_group(self._groups_file, group)
        watch.restrain()
        return watch

    def _end(
        self, child: subprocess.Popen[bytes], mark: str, watch: Optional[LoadWatch], *, ended: bool, at_once: bool
    ) -> None:
        """Nothing of the child runs any more. It is waited for last: its number is not another's before that."""
        if ended and not watch:
            processes.wait_and_end_group(child)
        else:
            if not at_once:
                processes.end_group(child)
            processes.end_all(watch.left if watch else lambda: processor_time.members(child.pid, mark), at_once=at_once)
            child.wait()
        self.family.waited_for(child.pid)
        if child.stdout:
            child.stdout.close()


def _left_by(watch: Optional[LoadWatch]) -> Tuple[str, ...]:
    """What still runs a moment after the child has ended."""
    if watch is None or processes.until(lambda: not names_of(watch.left()), _LEFT_SECONDS):
        return ()
    return tuple(names_of(watch.left()))


class _Limit:
    """The clock of one child, and what it uses."""

    def __init__(self, clock: IdleWatch, watch: Optional[LoadWatch]) -> None:
        self.heard = clock.heard
        self._clock, self._watch = clock, watch
        self.stopped: Optional[str] = None

    def over(self, now: float) -> Optional[str]:
        """Which limit has passed, if one has."""
        self.stopped = self._clock.over(now) or (self._watch.over(now) if self._watch else None)
        return self.stopped


class _Either(threading.Event):
    """Set as soon as one of two is; nobody waits for it."""

    def __init__(self, one: threading.Event, other: threading.Event) -> None:
        super().__init__()
        self._both = (one, other)

    def is_set(self) -> bool:
        """Whether one is."""
        return any(event.is_set() for event in self._both)


class _Sinks:
    """Where a child's output goes besides its tail."""

    def __init__(self, on_output: Optional[Callable[[bytes], None]], log: Optional[Path]) -> None:
        self._on_output = on_output
        self._log = log
        self._file: Optional[BinaryIO] = None
        self._room = _LOG_BYTES
        self._drawn = RedrawnLines()
        self._masked = MaskedLines()

    def __enter__(self) -> _Sinks:
        if self._log is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = open(str(self._log), "ab", buffering=0, opener=private)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file:
            self._write(self._masked.feed(self._drawn.end()) + self._masked.end())
            self._file.close()

    def apply(self, piece: bytes) -> None:
        """One piece of output; an empty one is a moment of silence."""
        if piece:
            self._write(self._masked.feed(self._drawn.feed(piece)))
        if self._on_output:
            self._on_output(piece)

    def _write(self, text: bytes) -> None:
        if not (self._file and text) or self._room <= 0:
            return
        self._file.write(text[: self._room])
        self._room -= len(text)
        if self._room <= 0:
            self._file.write(b"\n[the log ends here: there was too much]\n")


def _without_core(pid: int) -> None:
    """What comes down leaves no file of its memory in its folder. See prlimit(2)."""
    try:
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    except (OSError, AttributeError):
        return  # it has ended already, or the system has no such call


def _stack_of(child: subprocess.Popen[bytes], output: ChildOutput, sinks: _Sinks) -> bytes:
    """What a Python program prints of its threads when it is aborted; empty when it does not answer."""
    try:
        os.kill(child.pid, signal.SIGABRT)
    except ProcessLookupError:
        return b""
    said = b""
    deadline = time.monotonic() + _STACK_SECONDS
    while processes.exit_code(child) is None and time.monotonic() < deadline:
        said += output.read() or b""
    said += output.read() or b""
    sinks.apply(said)
    return said


def _keep(tail: bytearray, piece: bytes, keep_bytes: int) -> None:
    """Appends; cuts the front off now and then, since each time would copy it all each time."""
    tail += piece
    if len(tail) > 2 * keep_bytes:
        del tail[:-keep_bytes]
