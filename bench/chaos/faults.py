"""What happens to a run: nine kinds of faults, each at a moment of its own, with dice that can be thrown again."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from app.standin.processes import processes_at_port
from bench.chaos.stage import Stage
from bench.chaos.watch import Watch

STOP_SECONDS = 20.0
"""Longer than a line may be silent (15 s)."""
LOCK_SECONDS = (1.0, 12.0)
"""A write waits 5 s for another program's."""
_LIBRARIES = (
    "/usr/lib/*/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/*.so.1",
)
_CLOCK_FILE = "clock-offset"


@dataclass
class Scene:
    """One run that goes on. `notes`: what was done to it, for people; `struck`: whether there was something to hit."""

    stage: Stage
    watch: Watch
    dice: random.Random
    notes: list[str] = field(default_factory=list)
    struck: bool = False
    restarts: int = 0

    def hold(self, seconds: float) -> None:
        """Leaves it as it is for so long."""
        threading.Event().wait(seconds)

    def until(self, there: Callable[[], object]) -> bool:
        """Waits for something of the run; False when the run has ended before."""
        while not there():
            if self.watch.over(0.02):
                return False
        return True


Strike = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault. `strike`: done at the moment, its block lasts to the run's end; `prepare`: before the start;
    `ends`: error codes that the run may end with, besides its usual end; `missing`: what is not here to play it."""

    name: str
    strike: Strike
    prepare: Callable[[Stage, random.Random], None] = lambda _stage, _dice: None
    ends: frozenset[str] = frozenset()
    missing: Callable[[], str] = lambda: ""


@contextmanager
def _service_killed(scene: Scene) -> Iterator[None]:
    scene.stage.service.kill()
    scene.struck = True
    scene.hold(scene.dice.uniform(0.0, 1.5))
    scene.stage.service.start()
    scene.restarts += 1
    yield


@contextmanager
def _line_cut(scene: Scene) -> Iterator[None]:
    scene.struck = scene.stage.standin.connections() > 0
    scene.stage.standin.kill_connections()
    yield


@contextmanager
def _sshd_killed(scene: Scene) -> Iterator[None]:
    scene.stage.standin.stop_sshd()  # -9, to its connections too
    scene.struck = True
    scene.hold(scene.dice.uniform(0.1, 3.0))
    scene.stage.standin.start_sshd()
    scene.restarts += 1
    yield


@contextmanager
def _runner_killed(scene: Scene) -> Iterator[None]:
    if pid := _runner(scene):
        scene.struck = _signal(pid, signal.SIGKILL)
    yield


@contextmanager
def _stopped(scene: Scene) -> Iterator[None]:
    whom = scene.dice.choice(("runner", "service", "connection"))
    scene.notes.append(whom)
    pids = _pids_of(whom, scene)
    hit = [_signal(pid, signal.SIGSTOP) for pid in pids]
    scene.struck = any(hit)
    try:
        if scene.struck:
            scene.hold(STOP_SECONDS)
    finally:
        for pid in pids:
            _signal(pid, signal.SIGCONT)
    yield


@contextmanager
def _disk_full_there(scene: Scene) -> Iterator[None]:
    for_good = scene.dice.random() < 0.5
    scene.notes.append("to the end" if for_good else "for seconds")
    with scene.stage.instance_disk.full():
        scene.struck = True
        if not for_good:
            scene.hold(scene.dice.uniform(0.5, 4.0))
        else:
            yield
    if not for_good:
        yield


@contextmanager
def _disk_full_here(scene: Scene) -> Iterator[None]:
    with scene.stage.service_disk.full():
        scene.struck = True
        scene.hold(scene.dice.uniform(0.5, 6.0))
    yield


@contextmanager
def _clock_stepped(scene: Scene) -> Iterator[None]:
    step = scene.dice.choice((-86400, -3600, 3600, 86400))
    scene.notes.append(f"{step:+d} s")
    _set_clock(scene.stage, step)
    yield
    (scene.stage.standin.home / ".clock").unlink()
    events, _ = scene.stage.journal(scene.watch.task_id)
    scene.struck = bool(events) and abs(events[-1].wall - events[-1].mono - events[0].wall + events[0].mono) > 60


@contextmanager
def _database_locked(scene: Scene) -> Iterator[None]:
    with scene.stage.database() as other:
        is_file = other.dialect.name == "sqlite"
        other.execute(text("BEGIN EXCLUSIVE" if is_file else "BEGIN"))
        if not is_file:
            other.execute(text("LOCK TABLE installs IN ACCESS EXCLUSIVE MODE"))
        scene.struck = True
        scene.hold(scene.dice.uniform(*LOCK_SECONDS))
        other.execute(text("ROLLBACK"))
    yield


def _runner(scene: Scene) -> int | None:
    """The runner's pid, as soon as it has one; None when the run is over."""
    found: list[int] = []

    def there() -> bool:
        pid = scene.stage.runner(scene.watch.task_id)
        found.extend([pid] if pid else [])
        return bool(found)

    return found[0] if scene.until(there) else None


def _pids_of(whom: str, scene: Scene) -> list[int]:
    if whom == "service":
        return [scene.stage.service.pid]
    if whom == "runner":
        pid = _runner(scene)
        return [pid] if pid else []
    return [process.pid for process in processes_at_port(scene.stage.standin.port, listening=False)]


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _set_clock(stage: Stage, offset: int) -> None:
    """The instance's clock is `offset` seconds away from here on, also for what runs already."""
    path = stage.standin.home / _CLOCK_FILE
    draft = path.with_suffix(".new")
    draft.write_text(f"{offset:+d}\n", "ascii")
    draft.replace(path)


def _take_clock(stage: Stage, _dice: random.Random) -> None:
    """All that logs in from now on asks libfaketime for the time. Its monotonic clock stays the real one."""
    _set_clock(stage, 0)
    words = {
        "LD_PRELOAD": _library(),
        "FAKETIME_TIMESTAMP_FILE": str(stage.standin.home / _CLOCK_FILE),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }
    lines = [f"export {name}='{value}'\n" for name, value in words.items()]
    (stage.standin.home / ".clock").write_text("".join(lines), "utf-8")


def _forget_host_keys(stage: Stage, dice: random.Random) -> None:
    """Now and then: the first connection then has something to write as well."""
    if dice.random() < 0.5:
        with stage.database() as connection:
            connection.execute(text("DELETE FROM host_keys"))


def _library() -> str:
    return next((str(path) for text in _LIBRARIES for path in Path("/").glob(text.lstrip("/"))), "")


def _no_root() -> str:
    return "" if os.geteuid() == 0 else "mounting a small disk needs root"


def _no_library() -> str:
    return "" if _library() else "there is no libfaketime (Debian and Ubuntu: apt-get install libfaketime)"


_FULL = frozenset({"disk_full", "runner_start_failed", "transfer_failed", "runner_lost"})
KINDS = (
    Kind("kill -9 of the service", _service_killed),
    Kind("connection killed", _line_cut),
    Kind("kill -9 of the sshd", _sshd_killed),
    Kind("kill -9 of the runner", _runner_killed, ends=frozenset({"runner_lost"})),
    Kind("SIGSTOP for 20 s", _stopped),
    Kind("disk full on the instance", _disk_full_there, ends=_FULL, missing=_no_root),
    Kind("disk full at the service", _disk_full_here, missing=_no_root),
    Kind("clock step under the runner", _clock_stepped, _take_clock, missing=_no_library),
    Kind("database locked by another", _database_locked, _forget_host_keys),
)
"""In rotation: run number N has kind N modulo their number."""
