"""Verify phase: the environment is what it should be, and ComfyUI itself imports each pack.

The environment is looked at after the packages, beside the imports, after them (packs install when they are imported)
and after a restart (images re-install then); last of all, whether ComfyUI's own requirements are met. What is not known
is said to be unknown, never good.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, Collection, FrozenSet, Optional, Sequence

from app.protocol.events import Probed
from app.protocol.manifest import parent_of
from app.protocol.snapshot import Problem
from app.protocol.states import Phase, StepStatus
from app.runner.comfyui.quick_test import ComfyUI
from app.runner.context import Context, PackResult
from app.runner.environment.consistency import complaints
from app.runner.environment.installed_files import absent_files
from app.runner.guard.guard import Guard
from app.runner.guard.written import Written
from app.runner.policies.prestartup import Prestartups
from app.runner.policies.withheld import withheld
from app.runner.process.execute import Execute
from app.runner.resolve.lent_pip import LentPip
from app.runner.resolve.system_packages import SystemPackages
from app.runner.restart.restart import Restarted, restart
from app.runner.verify import verdicts
from app.runner.verify.environment_check import EnvironmentCheck
from app.runner.verify.import_check import ImportCheck, Verdicts

_LENT = (
    "ComfyUI's Python has no pip, and a pack calls it when it is imported. It got one for the time of this run; the "
    "verdicts are those without it."
)
_LENT_HINT = "To give it one: uv pip install --python %s pip"
Check = Callable[[], Verdicts]
"""Compares the environment with what it was and asks ComfyUI anew. Raises RunCancelled."""
SecondRound = Callable[[Sequence[PackResult], Verdicts, Check], Verdicts]
"""Gets what ComfyUI said of the packs; what it says in the end. Raises RunCancelled."""


class Verification:
    """The check of one run. `begin` starts what needs no packs beside the clones; `verify` is the phase."""

    def __init__(self, context: Context, run: Execute, guard: Guard, lent: LentPip) -> None:
        """`guard`: watches what packs' own code does to the environment. `lent`: what packs call as pip where the
        environment has none."""
        self.guard = guard
        self._lent = lent
        self._context = context
        self._run = run
        self._comfyui = ComfyUI(context)
        self._imports = ImportCheck(context, self._comfyui)
        self._check = EnvironmentCheck(context, run, guard)
        self._written = Written(context)
        self._bare: Optional[Future[str]] = None
        self.second_round: SecondRound = lambda _results, found, _check: found
        """Looks for versions with which more packs load."""
        self._absent: Optional[Future[FrozenSet[str]]] = None
        self._complaints: Optional[Future[FrozenSet[str]]] = None

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
            why = self._imports.bare(low_priority=True)
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
            self._check.environment = self._context.environment

    def before_script(self, result: PackResult) -> None:
        """A pack's install.py is about to run: what installing packages did until now is not its doing. Raises
        RunCancelled."""
        if self._check.environment is not None and self._check.runs and self.guard.unchanged() is None:
            self._check.after_packages()
            self.guard.after_packages(self._check.environment)
        self.guard.before_script()
        self._check.before_script()
        self._written.begin("the install.py of %s" % result.pack.name, result.folder)

    def after_script(self, result: PackResult, problem: Optional[Problem]) -> None:
        """It has ended; `problem`: why it did not end well. Raises RunCancelled."""
        self._written.end()
        self.guard.after_script(result, problem)
        self._check.after_script()

    def after_packages(self, results: Sequence[PackResult], locked: Collection[str] = ()) -> None:
        """All plans are carried out, and all scripts have run: compares. `locked`: the packages of the run's lock, by
        canonical names. Raises RunCancelled."""
        self.guard.knows(results, locked)
        self._written.look()
        if self._check.environment is not None and self._check.runs:
            self._check.after_packages()
        self.guard.after_packages(self._check.environment)

    def verify(self, results: Sequence[PackResult]) -> None:
        """Checks, and tells the phase and each pack's verdict. Raises RunCancelled."""
        context = self._context
        if not context.verifies:
            self._end(StepStatus.SKIPPED, "switched off for this run", results, Verdicts())
            return
        if self._check.environment is None:
            self._end(StepStatus.SKIPPED, "ComfyUI's Python was not found", results, Verdicts())
            return
        context.phase(Phase.VERIFY, StepStatus.RUNNING)
        if not self._check.runs:
            unknown = self._check.trouble[-1]
            self._end(StepStatus.FAILED, "", results, Verdicts(unknown=unknown, starts=False))
            return
        self._check.known_complaints = self._complaints.result() if self._complaints else frozenset()
        found = self._import(results)
        if found.imports and not found.unknown:
            found = self.second_round(results, found, self._check_again)
        self._end(None, "", results, found)

    def _import(self, results: Sequence[PackResult]) -> Verdicts:
        """What ComfyUI says of the packs; with nothing to say anything of, it is not asked. What the environment is
        like before the imports is found out meanwhile."""
        if not any(result.is_cloned for result in results):
            self._check.compare_complaints("")
            return Verdicts()
        Prestartups.of(self._context).put_aside(results)
        failed = self._bare.result() if self._bare else "it was not tried"
        self.guard.before_imports()
        self._written.begin("the imports of the packs")
        with ThreadPoolExecutor(2, thread_name_prefix="environment") as pool:
            asked = self._check.ask(pool)
            found = self._imported(failed)
            said = "\n".join(each.text for each in found.imports.values() if not each.good)
            if SystemPackages.of(self._context).bring(said):
                found = self._imported(failed)
        self._written.end()
        self._written.look()
        self._check.compare_complaints("", asked.complaints.result())
        self.guard.after_imports(list(found.imports), failed=bool(found.culprits))
        if not self._check.after_imports(asked):
            return Verdicts(unknown=self._check.trouble[-1], starts=False)
        if found.unknown:
            self._context.warn("imports_unknown", found.unknown, "The log named imports has what ComfyUI printed.")
            self._check.trouble.append(found.unknown)
        return found

    def _imported(self, failed: str) -> Verdicts:
        """What ComfyUI says. Where packs called the pip that was lent, it is asked once more without: that is how it
        will start from now on. Raises RunCancelled."""
        self._lent.was_used()
        found = self._imports.check(failed)
        if not self._lent.was_used():
            return found
        self._context.warn("pip_lent", _LENT, _LENT_HINT % self._context.executable)
        self._lent.withheld = True
        return self._imports.check("")

    def _check_again(self) -> Verdicts:
        """Packages or packs were changed on purpose after the imports."""
        self._check.after_packages()
        self.guard.after_packages(self._check.environment)
        self.guard.before_imports()
        self._imports = ImportCheck(self._context, self._comfyui)
        found = self._imports.check()
        self.guard.after_imports(list(found.imports), failed=bool(found.culprits))
        return found

    def _end(self, status: Optional[StepStatus], detail: str, results: Sequence[PackResult], found: Verdicts) -> None:
        restarted = self._restart(found)
        loaded = restarted.loaded if restarted else None
        if restarted and restarted.began and self._check.environment:
            self._check.after_restart([result.pack.folder for result in results if result.is_cloned])
        trouble = [*self._check.trouble, *self.guard.own_requirements_lost()]
        nested = {r.pack.name for r in results if parent_of(r.pack, [other.pack for other in results])}
        nested |= {result.pack.name for result in results if "/" in result.pack.folder}
        counted = verdicts.emit_verdicts(self._context, results, found, nested, loaded)
        if status is None or trouble:
            status = StepStatus.FAILED if trouble else StepStatus.SUCCESS
            detail = "; ".join(filter(None, [*trouble, counted, self._imports.starts()]))
        self._context.phase(Phase.VERIFY, status, detail)

    def _restart(self, found: Verdicts) -> Optional[Restarted]:
        context = self._context
        if not context.options.restart:
            return None
        if withheld(context):
            why = "ComfyUI was not restarted: it would run what is refused (%s)." % ", ".join(sorted(withheld(context)))
            context.warn("not_restarted", why, "Remove those packs from custom_nodes, or restart it yourself.")
            return None
        if not found.starts:
            who = "%s would make it crash" % ", ".join(sorted(found.culprits)) if found.culprits else found.unknown
            context.warn(
                "not_restarted", "ComfyUI was not restarted: %s." % who.rstrip("."), "Look at the other warnings."
            )
            return None
        return restart(context)
