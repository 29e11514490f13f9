"""The environment before and after packs' own code ran: the torch family, what torch says, and what does not fit.

Importing torch takes seconds, so it is asked beside the imports, and again after them only if something was changed
meanwhile.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import FrozenSet, List, Optional, Sequence, Set, Tuple

from app.runner.context import Context
from app.runner.environment.consistency import complaints
from app.runner.environment.environment import Difference, Environment, in_words
from app.runner.environment.inspection import inspect, inspect_again
from app.runner.environment.torch_family import is_protected
from app.runner.guard.guard import AT_EACH_START, Guard
from app.runner.guard.metadata_look import Look, look
from app.runner.process.execute import Execute
from app.runner.resolve import blame_change

_MOST_COMPLAINTS = 5
_BY_THE_IMAGE = (
    "Some images install ComfyUI's requirements again at each start. If a pack needs another version, put that version "
    "into the image's own list of packages."
)
_PACKAGES = "Installing packages"
_TORCH_FOLDERS = ("torch", "torch/lib", "torch/cuda")

_State = Tuple[Look, FrozenSet[Tuple[str, int, int, int]]]
"""Of the packages' metadata, and of torch's own files: path, inode, time of the last change, size in bytes."""


@dataclass(frozen=True)
class Asked:
    """What is found out beside the imports: the environment with what torch says, and what does not fit together.
    `state`: of the files, when that began."""

    state: _State
    torch: Future[Environment]
    complaints: Future[FrozenSet[str]]


class EnvironmentCheck:
    """The comparisons of one run. For one thread; `ask` uses others."""

    def __init__(self, context: Context, run: Execute, guard: Guard) -> None:
        self._context = context
        self._run = run
        self._guard = guard
        self.known_complaints: FrozenSet[str] = frozenset()
        """What did not fit together at the last look; at first, what did not fit before the run."""
        self._before_script: Optional[_State] = None
        self._by_scripts = False
        """Whether scripts changed packages, or files of torch."""
        self.trouble: List[str] = []
        """What is wrong with the environment, a sentence each."""
        self.environment: Optional[Environment] = None
        """As it was seen last; None where there is no interpreter."""
        self.runs = True
        """Whether the interpreter runs."""

    def before_script(self) -> None:
        """A pack's install.py is about to run."""
        if self.environment is not None:
            self._before_script = _state(self.environment)

    def after_script(self) -> None:
        """Compares with what the guard saw after it."""
        if self.environment is None or not self.runs:
            return
        self._by_scripts = self._by_scripts or self._before_script != _state(self.environment)
        now = self._guard.environment
        if now is not None and now is not self.environment:
            self._apply(self._unasked(now), "The packs' install scripts", "The packs' install scripts")

    def ask(self, pool: ThreadPoolExecutor) -> Asked:
        """Begins to find out what the imports do not need."""
        known = self.environment
        assert known is not None
        torch = pool.submit(lambda: inspect(known.executable, self._run, torch=True))
        return Asked(_state(known), torch, pool.submit(complaints, known))

    def after_imports(self, asked: Asked) -> bool:
        """Compares after the imports, once the guard has. Whether the interpreter runs. Raises RunCancelled."""
        known = self.environment
        assert known is not None
        now, imports = self._guard.environment or known, "Importing the packs"
        changed = _state(known) != asked.state
        try:
            said = inspect(known.executable, self._run, torch=True) if changed else asked.torch.result()
            now = said if changed else now
        except OSError as exc:
            self._warn_of_interpreter(exc)
            return False
        by = imports if changed else "The packs' install scripts" if self._by_scripts else _PACKAGES
        self._apply(replace(now, torch=said.torch, torch_error=said.torch_error), imports, by)
        return True

    def after_packages(self) -> None:
        """Compares after plans were carried out; torch is asked beside the imports. Raises RunCancelled."""
        assert self.environment is not None
        try:
            now = self._guard.unchanged() or inspect_again(self.environment, self._run)
        except OSError as exc:
            self._warn_of_interpreter(exc)
            return
        if now is not self.environment:
            self._apply(self._unasked(now), _PACKAGES, _PACKAGES)

    def _unasked(self, now: Environment) -> Environment:
        """With what torch said when it was asked last."""
        assert self.environment is not None
        return replace(now, torch=self.environment.torch, torch_error=self.environment.torch_error)

    def after_restart(self, packs: Sequence[str]) -> None:
        """Compares after a restart. Only here more than the torch family counts: the packages were meant to change, and
        what packs' own code changed is the guard's. `packs`: who was loaded. Raises RunCancelled."""
        what = "Restarting ComfyUI"
        changed = self._inspect(what)
        if changed:
            who = blame_change.who(self._context.custom_nodes, packs, [item.name for item in changed])
            by = " It was probably %s." % ", ".join(who) if who else ""
            text = "%s changed installed packages: %s.%s" % (what, in_words(changed), by)
            self._context.warn("changed_at_restart", text, AT_EACH_START if who else _BY_THE_IMAGE)
        self.compare_complaints("since the restart")

    def _inspect(self, what: str) -> List[Difference]:
        """Looks at the environment again and warns of what changed in the torch family. All changes since the last
        look."""
        assert self.environment is not None
        try:
            now = inspect(self.environment.executable, self._run, torch=True)
        except OSError as exc:
            self._warn_of_interpreter(exc)
            return []
        return self._apply(now, what, what)

    def _apply(self, now: Environment, what: str, torch_by: str) -> List[Difference]:
        """Warns of what changed in the torch family (by `what`) and in what torch says (by `torch_by`).
        All changes."""
        before, self.environment = self.environment, now
        assert before is not None
        changed = before.differences(now)
        family = [item for item in changed if is_protected(item.name) and not self._was_planned(item)]
        if family:
            self._warn_of_family("protected_changed", "%s changed protected packages: %s." % (what, in_words(family)))
        if before.cuda is not None and now.cuda != before.cuda:
            says = "torch cannot be imported: %s" % now.torch_error if now.cuda is None else "CUDA: %s" % now.cuda
            text = "%s changed what torch says (CUDA was %s): %s." % (torch_by, before.cuda, says)
            self._warn_of_family("torch_changed", text)
        return changed

    def _warn_of_interpreter(self, exc: OSError) -> None:
        self.runs = False
        self.trouble.append("ComfyUI's Python does not run any more: %s" % (exc.strerror or exc))
        self._context.warn("interpreter_broken", self.trouble[-1])

    def _was_planned(self, item: Difference) -> bool:
        """Whether the run itself brought a package that was not there, as a lock may."""
        return bool(not item.before and item.after and self._context.changed.get(item.name) == item.after.version)

    def _warn_of_family(self, code: str, text: str) -> None:
        self.trouble.append(text)
        self._context.warn(code, text, "Roll this task back, or install the earlier builds yourself.")

    def compare_complaints(self, when: str, found: Optional[FrozenSet[str]] = None) -> None:
        """Warns of what does not fit together now (`found`, where somebody has looked) and did at the last look."""
        assert self.environment is not None
        before = self.known_complaints
        self.known_complaints = complaints(self.environment) if found is None else found
        new = sorted(self.known_complaints - before - self._guard.told)
        if new:
            more = " and %d more" % (len(new) - _MOST_COMPLAINTS) if len(new) > _MOST_COMPLAINTS else ""
            since = " %s" % when if when else ""
            text = "These packages no longer fit together%s: %s%s." % (since, "; ".join(new[:_MOST_COMPLAINTS]), more)
            self._context.warn(
                "environment_inconsistent",
                text,
                "The task's plan shows which packages were changed, and for which packs. A rollback restores them.",
            )


def _state(environment: Environment) -> _State:
    """What shows, in some milliseconds, that packages or the files that torch starts with were changed."""
    found: Set[Tuple[str, int, int, int]] = set()
    for folder in environment.site_packages:
        for name in _TORCH_FOLDERS:
            with suppress(OSError), os.scandir(os.path.join(folder, name)) as entries:
                states = [(entry.path, entry.stat()) for entry in entries if entry.is_file()]
                found.update((path, state.st_ino, state.st_mtime_ns, state.st_size) for path, state in states)
    return look(environment), frozenset(found)
