"""Verify phase: the environment is what it should be, and ComfyUI itself imports each pack.

The environment is looked at after the packages, after scripts that changed it, after the imports (packs install when
they are imported) and after a restart (images re-install then); last of all, whether ComfyUI's own requirements are
met. What is not known is said to be unknown, never good.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Collection, FrozenSet, List, Optional, Sequence

from app.protocol.events import Probed
from app.protocol.manifest import parent_of
from app.protocol.states import Phase, StepStatus
from app.runner.comfyui.quick_test import ComfyUI
from app.runner.context import Context, PackResult
from app.runner.environment.consistency import complaints
from app.runner.environment.environment import Difference, Environment, in_words
from app.runner.environment.inspection import inspect
from app.runner.environment.installed_files import absent_files
from app.runner.environment.torch_family import is_protected
from app.runner.guard.guard import AT_EACH_START, Guard
from app.runner.process.execute import Execute
from app.runner.resolve import blame_change
from app.runner.restart.restart import Restarted, restart
from app.runner.verify import verdicts
from app.runner.verify.import_check import ImportCheck, Verdicts

_MOST_COMPLAINTS = 5
_BY_THE_IMAGE = (
    "Some images install ComfyUI's requirements again at each start. If a pack needs another version, put that version "
    "into the image's own list of packages."
)


class Verification:
    """The check of one run. `begin` starts what needs no packs beside the clones; `verify` is the phase."""

    def __init__(self, context: Context, run: Execute, guard: Guard) -> None:
        """`guard`: watches what packs' own code does to the environment."""
        self.guard = guard
        self._context = context
        self._run = run
        self._comfyui = ComfyUI(context)
        self._check = ImportCheck(context, self._comfyui)
        self._bare: Optional[Future[str]] = None
        self._absent: Optional[Future[FrozenSet[str]]] = None
        self._complaints: Optional[Future[FrozenSet[str]]] = None
        self._known_complaints: FrozenSet[str] = frozenset()
        self._trouble: List[str] = []
        self._environment: Optional[Environment] = None
        self._runs = True
        """Whether the interpreter runs."""

    def begin(self, pool: ThreadPoolExecutor, python: Future[None]) -> None:
        """As soon as the interpreter is known: finds what does not fit together already, and starts ComfyUI without
        packs, which takes real ones some ten seconds."""

        def find_complaints() -> FrozenSet[str]:
            python.result()
            found = self._context.environment
            return complaints(found) if found else frozenset()

        def start_bare() -> str:
            python.result()
            if not self._context.environment:
                return "ComfyUI's Python was not found"
            why = self._check.bare(low_priority=True)
            seconds = self._comfyui.bare_seconds
            if not why and seconds is not None:
                facts = {"comfyui_start_seconds": round(seconds, 1)}
                self._context.journal.emit(Probed(str(self._context.ui_home), facts))
            return why

        def find_absent() -> FrozenSet[str]:
            python.result()
            found = self._context.environment
            return absent_files(found.site_packages) if found else frozenset()

        self._absent = pool.submit(find_absent)
        if self._context.verifies:
            self._complaints = pool.submit(find_complaints)
            self._bare = pool.submit(start_bare)

    def before_changes(self) -> None:
        """Remembers the environment as it is: from now on it may be changed."""
        self.guard.note_first()
        self._context.absent_before = self._absent.result() if self._absent else frozenset()
        if self._context.verifies:
            self._environment = self._context.environment

    def after_packages(self, results: Sequence[PackResult], locked: Collection[str] = ()) -> None:
        """All plans are carried out: compares, before packs' own code runs. `locked`: the packages of the run's lock,
        by canonical names. Raises RunCancelled."""
        self.guard.begin(results, locked)
        if self._environment is not None:
            self._runs = self._compare("protected_changed", "Installing packages")
            self.guard.saw(self._environment)

    def verify(self, results: Sequence[PackResult]) -> None:
        """Checks, and tells the phase and each pack's verdict. Raises RunCancelled."""
        context = self._context
        if not context.verifies:
            self._end(StepStatus.SKIPPED, "switched off for this run", results, Verdicts())
            return
        if self._environment is None:
            self._end(StepStatus.SKIPPED, "ComfyUI's Python was not found", results, Verdicts())
            return
        context.phase(Phase.VERIFY, StepStatus.RUNNING)
        if self._runs and self.guard.environment is not self._environment:
            self._runs = self._compare("protected_changed", "The packs' install scripts")
        if not self._runs:
            self._end(StepStatus.FAILED, "", results, Verdicts(unknown=self._trouble[-1], starts=False))
            return
        self._known_complaints = self._complaints.result() if self._complaints else frozenset()
        self._compare_complaints("")
        found = self._imports(results)
        self._end(None, "", results, found)

    def _imports(self, results: Sequence[PackResult]) -> Verdicts:
        """What ComfyUI says of the packs; with nothing to say anything of, it is not asked."""
        if not any(result.is_cloned for result in results):
            return Verdicts()
        why = self._bare.result() if self._bare else "it was not tried"
        # while packages were being changed, the early start may have met half of one
        why = self._check.bare() if why else why
        if why:
            found = Verdicts(unknown="Nobody knows whether the packs load: ComfyUI does not start, %s." % why)
        else:
            self.guard.before_imports()
            found = self._check.check()
            self.guard.after_imports(list(found.imports), failed=bool(found.culprits))
            self._compare("changed_at_import", "Importing the packs")
        if found.unknown:
            self._context.warn("imports_unknown", found.unknown, "The log named imports has what ComfyUI printed.")
            self._trouble.append(found.unknown)
        return found

    def _end(self, status: Optional[StepStatus], detail: str, results: Sequence[PackResult], found: Verdicts) -> None:
        restarted = self._restart(found)
        loaded = restarted.loaded if restarted else None
        if restarted and restarted.began and self._environment:
            packs = [result.pack.folder for result in results if result.is_cloned]
            self._compare("changed_at_restart", "Restarting ComfyUI", packs)
            self._compare_complaints("since the restart")
        self._trouble += self.guard.own_requirements_lost()
        nested = {r.pack.name for r in results if parent_of(r.pack, [other.pack for other in results])}
        nested |= {result.pack.name for result in results if "/" in result.pack.folder}
        counted = verdicts.emit_verdicts(self._context, results, found, nested, loaded)
        if status is None or self._trouble:
            status = StepStatus.FAILED if self._trouble else StepStatus.SUCCESS
            detail = "; ".join([*self._trouble, counted])
        self._context.phase(Phase.VERIFY, status, detail)

    def _restart(self, found: Verdicts) -> Optional[Restarted]:
        context = self._context
        if not context.options.restart:
            return None
        if not found.starts:
            who = "%s would make it crash" % ", ".join(sorted(found.culprits)) if found.culprits else found.unknown
            context.warn(
                "not_restarted", "ComfyUI was not restarted: %s." % who.rstrip("."), "Look at the other warnings."
            )
            return None
        return restart(context)

    # -- the environment -------------------------------------------------------------------------------------------

    def _compare(self, code: str, what: str, packs: Sequence[str] = ()) -> bool:
        """Looks at the environment again and warns of what changed since the last look. Whether it could be looked at.
        Only after a restart more than the torch family counts: the packages were meant to change, and what packs' own
        code changed is the guard's. `packs`: who was loaded."""
        before = self._environment
        assert before is not None
        try:
            now = inspect(before.executable, self._run, torch=True)
        except OSError as exc:
            self._trouble.append("ComfyUI's Python does not run any more: %s" % (exc.strerror or exc))
            self._context.warn("interpreter_broken", self._trouble[-1])
            return False
        self._environment = now
        changed = before.differences(now)
        family = [item for item in changed if is_protected(item.name) and not self._was_planned(item)]
        if family:
            self._warn_of_family("protected_changed", "%s changed protected packages: %s." % (what, in_words(family)))
        if before.cuda is not None and now.cuda != before.cuda:
            says = "torch cannot be imported: %s" % now.torch_error if now.cuda is None else "CUDA: %s" % now.cuda
            text = "%s changed what torch says (CUDA was %s): %s." % (what, before.cuda, says)
            self._warn_of_family("torch_changed", text)
        if changed and code == "changed_at_restart":
            self._warn_of_change(code, what, changed, packs)
        return True

    def _was_planned(self, item: Difference) -> bool:
        """Whether the run itself brought a package that was not there, as a lock may."""
        return bool(not item.before and item.after and self._context.changed.get(item.name) == item.after.version)

    def _warn_of_family(self, code: str, text: str) -> None:
        self._trouble.append(text)
        self._context.warn(code, text, "Roll this task back, or install the earlier builds yourself.")

    def _warn_of_change(self, code: str, what: str, changed: Sequence[Difference], packs: Sequence[str]) -> None:
        who = blame_change.who(self._context.custom_nodes, packs, [item.name for item in changed])
        by = " It was probably %s." % ", ".join(who) if who else ""
        text = "%s changed installed packages: %s.%s" % (what, in_words(changed), by)
        hint = AT_EACH_START if who else _BY_THE_IMAGE
        self._context.warn(code, text, hint)

    def _compare_complaints(self, when: str) -> None:
        """Warns of what does not fit together now and did at the last look."""
        assert self._environment is not None
        before, self._known_complaints = self._known_complaints, complaints(self._environment)
        new = sorted(self._known_complaints - before - self.guard.told)
        if new:
            more = " and %d more" % (len(new) - _MOST_COMPLAINTS) if len(new) > _MOST_COMPLAINTS else ""
            since = " %s" % when if when else ""
            text = "These packages no longer fit together%s: %s%s." % (since, "; ".join(new[:_MOST_COMPLAINTS]), more)
            self._context.warn(
                "environment_inconsistent",
                text,
                "The task's plan shows which packages were changed, and for which packs. A rollback restores them.",
            )
