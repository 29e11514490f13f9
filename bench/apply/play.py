"""One sequence: an environment, some changes of its packages, a fault in the middle of most of them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.protocol import progress_json
from app.protocol.options import Options
from app.runner.context import Context
from app.runner.daemon.journal import Journal
from app.runner.environment.environment import Environment
from app.runner.environment.inspection import inspect
from app.runner.environment.transaction import recover
from app.runner.process import processes
from app.runner.process.children import Children, Limits
from app.runner.process.errors import RunCancelled
from app.runner.process.paths import Task
from app.runner.process.skips import Skips
from app.runner.resolve.installer import Applier
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.plan import AGREES, Change, Plan
from app.runner.resolve.uv import Uv
from bench.apply.ground import NAMES, SMALL_BYTES, VERSIONS, Ground, Made
from test.support.undeletable import undeletable

FAULTS = ("none", "uv killed", "all killed", "cancelled", "no room", "undeletable")
_MOST_STEPS, _MOST_DELAY = 4, 0.012
_APPLIED, _BROKEN, _FAILED, _CANCELLED = 0, 1, 3, 4
"""Exit statuses of the process that makes a change."""
_SECONDS = 60.0
_RECOVERIES_KILLED = 0.5


@dataclass
class Played:
    """A sequence that was played: its steps in words, how often a fault struck, and what was wrong."""

    number: int
    steps: list[str] = field(default_factory=list)
    struck: int = 0
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def play(ground: Ground, number: int, seed: int) -> Played:
    """Plays a sequence; the same number and seed throw the same dice."""
    dice = random.Random(f"{seed}-{number}")
    played = Played(number)
    first = {name: dice.choice(VERSIONS) for name in dice.sample(NAMES, dice.randint(2, len(NAMES)))}
    made = ground.environment(number, first)
    environment = inspect(made.python)
    for _ in range(dice.randint(1, _MOST_STEPS)):
        before = made.versions()
        target = dict(before)
        for name in dice.sample(NAMES, dice.randint(2, 6)):
            target[name] = dice.choice([each for each in VERSIONS if each != before.get(name)])
        fault, delay = dice.choice(FAULTS), dice.uniform(0, _MOST_DELAY)
        step = Step(ground, made, environment, before, target, fault, delay, is_cached=number % 2 == 0)
        status = step.play(dice)
        played.struck += status != _APPLIED
        played.steps.append(f"{step.fault}: {before} -> {target}: ended with {status}")
        if dice.random() < _RECOVERIES_KILLED:
            _recover_and_die(environment, dice.uniform(0, _MOST_DELAY))
        recover(environment)
        wrong = _wrong(made, before, target, status)
        if wrong:
            played.wrong += [f"step {len(played.steps)}, {step.fault}: {each}" for each in wrong]
            return played
    shutil.rmtree(made.folder)
    return played


def _wrong(made: Made, before: Mapping[str, str], target: Mapping[str, str], status: int) -> list[str]:
    """What is not as it must be: all as before, or all as planned, and as the change said."""
    now = made.versions()
    found = []
    if now not in (dict(before), dict(target)):
        found.append(f"neither as before nor as planned: {now}")
    if status == _APPLIED and now != target:
        found.append(f"said to be done: {now}")
    if status in (_FAILED, _CANCELLED) and now != before:
        found.append(f"said to be undone: {now}")
    if status not in (_APPLIED, _FAILED, _CANCELLED, -signal.SIGKILL):
        found.append(f"ended with {status}")
    return found + [f"left behind: {path}" for path in made.stray()[:5]]


@dataclass(frozen=True)
class Step:
    """One change, made in a process of its own. `delay`: seconds from its first removal to the fault. `is_cached`: all
    that it brings is said to be in uv's cache, so that it is tried without the network first."""

    ground: Ground
    made: Made
    environment: Environment
    before: Mapping[str, str]
    target: Mapping[str, str]
    fault: str
    delay: float
    is_cached: bool
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def play(self, dice: random.Random) -> int:
        """Makes it; how that process ended."""
        self.ground.uv.plan("no_room", times=9 if self.fault == "no room" else 0, size=dice.choice([200, SMALL_BYTES]))
        watched = self._replaced()
        with ExitStack() as stack:
            if self.fault == "undeletable" and watched:
                stack.enter_context(undeletable(dice.choice(sorted(dice.choice(watched).parent.glob("*.py")))))
            pid = os.fork()
            if pid == 0:
                self._change(watched)
            if self.fault in ("uv killed", "all killed"):
                _strike(pid, self.task_id, watched, self.delay, everything=self.fault == "all killed")
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        processes.end_all(lambda: processes.marked(self.task_id))
        Task(self.task_id).progress.unlink(missing_ok=True)
        shutil.rmtree(Task(self.task_id).folder, ignore_errors=True)
        return status

    def _replaced(self) -> list[Path]:
        """A file of each package that is to go."""
        changed = [name for name in self.before if self.before[name] != self.target[name]]
        modules = [name.replace("-", "_") for name in changed]
        return [path for module in modules for path in self.made.packages.glob(f"**/{module}/**/__init__.py")]

    def _change(self, watched: list[Path]) -> None:
        """In the process of its own: what the runner does for a plan."""
        status = _BROKEN
        try:
            os.environ.update(self.ground.environ)
            task, cancelled = Task(self.task_id), threading.Event()
            task.folder.mkdir(parents=True)
            snapshot = progress_json.initial(self.task_id, 0.0, auto_installer=False)
            journal = Journal(task.journal, snapshot, task.progress, lambda _error: None)
            children = Children(self.task_id, task.groups, cancelled)
            context = Context(task, {}, journal, children, cancelled, Skips(task), Options())
            context.environment = self.environment
            settings = InstallerSettings.of(context)
            uv = Uv(children, str(self.ground.uv.program), self.environment, task.folder, Limits(), settings=settings)
            if self.fault == "cancelled":
                arguments = (watched, self.delay, cancelled.set, threading.Event())
                threading.Thread(target=_when_begun, args=arguments, daemon=True).start()
            names = sorted(set(self.target))
            changes = [Change(name, self.before.get(name), self.target[name]) for name in names]
            plan = Plan(AGREES, [], [each for each in changes if each.old != each.new])
            applied = Applier(context, uv, lambda pins: frozenset(pins if self.is_cached else ())).apply(
                plan, task.folder / "packages.log"
            )
            status = _APPLIED if applied.finished.ok else _FAILED
        except RunCancelled:
            status = _CANCELLED
        except BaseException:  # noqa: BLE001 - of a process that ends here
            traceback.print_exc()
        finally:
            os._exit(status)


def _recover_and_die(environment: Environment, seconds: float) -> None:
    """A recovery that is itself killed; the next one finishes its work."""
    pid = os.fork()
    if pid == 0:
        recover(environment)
        os._exit(_APPLIED)
    threading.Event().wait(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _when_begun(watched: list[Path], delay: float, strike: Callable[[], object], over: threading.Event) -> None:
    """Strikes some milliseconds after the first of the watched files is gone, if that is before all is over."""
    until = time.monotonic() + _SECONDS
    while all(map(os.path.lexists, watched)):
        if over.is_set() or time.monotonic() > until:
            return
    over.wait(delay)
    if not over.is_set():
        strike()


def _strike(pid: int, task_id: str, watched: list[Path], delay: float, *, everything: bool) -> None:
    """Kills uv, or the process that called it too, in the middle of the change, if it comes to one."""

    def kill() -> None:
        found = processes.marked(task_id)
        for each in [pid, *found] if everything else found:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    over = threading.Event()
    thread = threading.Thread(target=_when_begun, args=(watched, delay, kill, over))
    thread.start()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    over.set()
    thread.join()
