"""Compares the whole environment after packs' own code ran with what it was before, and puts back what was broken.

Before is what was there plus the plans that were carried out. A change that breaks nothing is told and left. With a
lock, the lock's own package of a library stays.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Callable, Collection, List, Optional, Sequence, Set

from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.environment import installed_files
from app.runner.environment.environment import Difference, Environment, in_words
from app.runner.environment.inspection import inspect_again
from app.runner.guard.mend import Mended, Mender
from app.runner.guard.metadata_look import Look, look
from app.runner.guard.own_requirements import lost_requirements
from app.runner.guard.required import required_by_comfyui, required_by_packs
from app.runner.guard.way_back import WayBack, named
from app.runner.process.execute import Execute
from app.runner.resolve import blame_change

AT_EACH_START = "A pack that does this does it again at each start of ComfyUI."
_BY = " It was probably %s."
_STOPPED = ("script_stalled", "script_timed_out")
_BY_HAND = "Install it yourself, or roll this task back."


class Guard:
    """One run's. For one thread."""

    def __init__(self, context: Context, run: Execute, uv: Callable[[], Optional[str]]) -> None:
        """`uv`: looks for one where something has to be put back; None where there is none."""
        self._context = context
        self._run = run
        self._mender = Mender(context, run, uv)
        self._results: Sequence[PackResult] = ()
        self._first: Optional[Environment] = None
        self._look: Look = frozenset()
        self._scripts_ran = False
        self._since = 0.0
        self.environment: Optional[Environment] = None
        """As it was seen last, and as it should be."""
        self.unmet: Sequence[str] = ()
        """What ComfyUI requires and has lost for good, a sentence each; known at the end."""
        self.told: Set[str] = set()
        """What does not fit together, and was told with the pack that brought it."""

    def knows(self, results: Sequence[PackResult], locked: Collection[str] = ()) -> None:
        """These packs are there: what they require is not to be broken. `locked`: the packages of the run's lock, by
        canonical names."""
        self._results = results
        self._mender.locked = locked

    def note_first(self) -> None:
        """Remembers the environment as it is before the run changes it."""
        self._first = self._context.environment

    def saw(self, environment: Environment) -> None:
        """It was inspected, and this is how it should be."""
        self.environment = environment
        self._look = look(environment)

    def unchanged(self) -> Optional[Environment]:
        """The environment as it was seen last, if it still is so."""
        return self.environment if self.environment is not None and look(self.environment) == self._look else None

    # -- install.py --------------------------------------------------------------------------------------------------

    def before_script(self) -> None:
        """Looks at the environment, where nobody has. Raises RunCancelled."""
        self.after_packages()
        self._scripts_ran = True
        self._since = time.time()

    def after_packages(self, now: Optional[Environment] = None) -> None:
        """Packages were installed. `now`: the environment, where it was inspected already. What an earlier script
        brought may be another package of the same library: no plan knew of it. Raises RunCancelled."""
        was = self.environment
        if now is not None:
            self.saw(now)
        now = now or self._current()
        if now is None or was is None or was is now or not self._scripts_ran:
            return
        required = [*required_by_comfyui(self._context.ui_home), *required_by_packs(self._context, self._results)]
        done = self._mender.keep_one_of_each(was, now, required)
        if done.chosen or done.side_by_side:
            text = "An install.py brought packages that others need in another variant.%s" % done.in_words()
            code = "variants_side_by_side" if done.side_by_side else "changed_by_script"
            self._context.warn(code, text, _BY_HAND if done.side_by_side else "")
            self._note(now, done)

    def after_script(self, result: PackResult, problem: Optional[Problem]) -> None:
        """Compares. What is gone after a script that failed was hardly meant to go. One that was stopped may have been
        in the middle of an installation: then the files count too. Raises RunCancelled."""
        stopped = problem is not None and problem.code in _STOPPED
        if self.environment is not None and (stopped or self.unchanged() is None):
            what = "The install.py of %s" % result.pack.name
            self._settle(self.environment, "changed_by_script", what, failed=problem is not None, stopped=stopped)

    def before_imports(self) -> None:
        """Packs are about to be imported."""
        self._since = time.time()

    def after_imports(self, packs: Sequence[str], *, failed: bool) -> None:
        """Compares, after these packs were imported. `failed`: one of them brought ComfyUI down. Raises
        RunCancelled."""
        if self.environment is not None and (failed or self.unchanged() is None):
            what = "Importing the packs"
            self._settle(self.environment, "changed_at_import", what, failed=failed, stopped=failed, packs=packs)

    def _settle(
        self, was: Environment, code: str, what: str, *, failed: bool, stopped: bool, packs: Sequence[str] = ()
    ) -> None:
        """Tells what changed, and what became of it. `packs`: who may have done it."""
        context = self._context
        try:
            now = inspect_again(was, self._run)
        except OSError:
            return  # that the interpreter does not run is told by whoever needs it next
        changed = was.differences(now)
        lost = {item.name for item in changed if failed and item.after is None}
        lost |= self._without_files(now) if stopped else set()
        if not changed and not lost:
            self.saw(now)
            return
        who = blame_change.who(context.custom_nodes, packs, [item.name for item in changed])
        said = in_words(changed) or "files of %s are missing" % ", ".join(sorted(lost))
        text = "%s changed installed packages: %s.%s" % (what, said, _BY % ", ".join(who) if who else "")
        required = [*required_by_comfyui(context.ui_home), *required_by_packs(context, self._results)]
        done = self._mender.mend(was, now, required, lost=lost)
        if code == "changed_at_import" or not _is_harmless(changed, done):
            context.warn(code, text + done.in_words(), AT_EACH_START if code == "changed_at_import" else "")
        self.told.update(done.left)
        for failure in done.failed:
            context.warn("not_put_back", failure, _BY_HAND)
        for pair in done.side_by_side:
            context.warn("variants_side_by_side", "%s %s" % (what, pair), _BY_HAND)
        self._note(was, done)

    def _note(self, was: Environment, done: Mended) -> None:
        """How it is now is how it should be, but for what should have been put back."""
        self.saw(done.now)
        self._context.changes_by_scripts += 1
        changed = {item.name: item.after for item in was.differences(done.now) if item.name not in done.unrestored}
        self._context.changed.update({name: after.version if after else None for name, after in changed.items()})
        brought = [name for name in changed if name not in was.distributions]
        self._context.absent_before |= installed_files.absent_files(done.now.site_packages, brought)

    def _without_files(self, now: Environment) -> Set[str]:
        """The packages of which files went away since the code began to run. Files that became others may be
        patched on purpose."""
        found = installed_files.find(now.paths)
        absent = self._context.absent_before
        said = {name: installed_files.damage(copies[0], self._since, absent=absent) for name, copies in found.items()}
        return {name for name, words in said.items() if "missing" in words}

    # -- ComfyUI's own requirements ------------------------------------------------------------------------------------

    def own_requirements_lost(self) -> List[str]:
        """What ComfyUI itself requires, had at the beginning, and has no more: looked at last of all. It is put back
        once; what stays unmet, a sentence each. Raises RunCancelled."""
        context, first, now = self._context, self._first, self._current()
        if first is None or now is None:
            return []
        lost = lost_requirements(context.ui_home, first, now)
        if lost:
            done = Mended(now)
            back = {named(requirement.package, first): requirement.lost(first, now) for requirement in lost}
            self._mender.go_back(first, WayBack(back), done)
            self._note(now, done)
            now, lost = done.now, lost_requirements(context.ui_home, first, done.now)
            if done.restored:
                text = "ComfyUI had lost packages that it requires itself.%s" % done.in_words()
                context.warn("comfyui_needs_restored", text)
        self.unmet = told = [requirement.lost(first, now) for requirement in lost]
        if told:
            text = "ComfyUI does not have any more what it requires itself: %s." % "; ".join(told)
            context.warn(
                "comfyui_needs_lost", text, "Roll this task back, or install ComfyUI's requirements.txt again."
            )
        return told

    def _current(self) -> Optional[Environment]:
        """As it is now; None where there is no interpreter, or where it does not run."""
        known = self.environment or self._context.environment
        if known is not None and self.unchanged() is None:
            with suppress(OSError):
                self.saw(inspect_again(known, self._run))
        return self.environment


def _is_harmless(changed: Sequence[Difference], done: Mended) -> bool:
    """Whether a script has only brought packages of its own, as many do: an alarm at each install is none."""
    helped = done.chosen or done.restored or done.left or done.failed or done.side_by_side
    return not helped and bool(changed) and all(item.before is None for item in changed)
