"""A lock that is to be brought about: packages at their versions, packs at their commits, and said what cannot be had.

Versions are installed as they stand, without what they require: the lock names that too. With `options.exact` it is
everything or nothing: what cannot be is refused before anything is changed, and what fails later ends the run, which is
then put back (`rollback.noted`).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from app.protocol.events import PackagesPlanned, RequirementsChanged
from app.protocol.lockfile import Lock, read_lock
from app.protocol.manifest import split_source
from app.protocol.states import StepStatus
from app.runner.context import Context, PackResult
from app.runner.environment.inspection import inspect_again
from app.runner.hints import reasons
from app.runner.lock import compare
from app.runner.lock.compare import MOST_NAMED, Difference, some
from app.runner.process.errors import RunFault
from app.runner.process.execute import Execute
from app.runner.requirements.lines import bounds_of, canonical, name_of
from app.runner.requirements.versions import satisfies
from app.runner.resolve.installer import tell_unreadable
from app.runner.resolve.plan import Change, Plan, write_lines
from app.runner.resolve.protection import read_requirements
from app.runner.resolve.uv import Uv

_STAGE = "lock"
_EXACT_HINT = "Without options.exact, Nodeferry installs what it can of the lock."


def of_request(context: Context) -> Optional[Lock]:
    """The lock that the run was asked to bring about, checked before by `read_manifest`; None for another manifest."""
    form, value = split_source(context.request.get("manifest"))
    return read_lock(value, context.request.get("schemes") or ["https", "ssh"]) if form == "lock" else None


class Locked:
    """Brings a lock about, in the order of the methods. Each raises RunFault where `exact` was asked for and cannot
    be, RunCancelled."""

    def __init__(self, context: Context, lock: Lock, uv: Optional[str], run: Execute) -> None:
        self._context = context
        self._lock = lock
        self._run = run
        self._exact = context.options.exact
        self._log = context.task.folder / "lock.log"
        self._uv: Optional[Uv] = None
        if uv is not None and context.environment and context.python_problem is None:
            self._uv = Uv(context.children, uv, context.environment, context.task.folder, context.limits.packages)

    def before_clones(self) -> None:
        """What does not fit is told; with `exact` it ends the run, before anything is changed."""
        found = compare.cannot_be(self._context, self._lock)
        if found and self._exact:
            raise RunFault("lock_mismatch", "Nothing was changed. %s." % some(found), _EXACT_HINT)
        for text in found[:MOST_NAMED]:
            self._context.warn("lock_mismatch", "%s." % text.rstrip("."), "Everything else in the lock is installed.")
        if len(found) > MOST_NAMED:
            self._context.warn("lock_mismatch", "%d more things cannot be as in the lock." % (len(found) - MOST_NAMED))
        if self._exact:
            self._try_out()
        for remark in compare.remarks(self._context, self._lock):
            self._context.warn(remark.code, remark.message, remark.hint)

    def _try_out(self) -> None:
        """Whether all versions can be had, without a change."""
        wanted = self._wanted()
        if not wanted:
            return
        if self._uv is None:
            text = "Nothing was changed. Locked versions are installed with uv, which is not on the instance."
            raise RunFault("lock_unavailable", text, "Install uv on the instance. %s" % _EXACT_HINT)
        finished = self._uv.install(self._file(wanted), self._log, _ignore, dry_run=True)
        if not finished.ok:
            said = reasons.of_packages(finished).message
            raise RunFault("lock_unavailable", "Nothing was changed. %s" % said, _EXACT_HINT)

    def plan(self, results: Sequence[PackResult]) -> None:
        """For a run that only plans: what would be installed. Packs whose requirements are met by it need no plan of
        their own."""
        wanted = self._wanted()
        unavailable = self._install(wanted, dry_run=True)
        self._warn_of(unavailable)
        had = [item for item in wanted if _pin(item) not in unavailable] if self._uv else []
        self._emit_plan(had)
        after = dict(self._context.packages)
        after.update((canonical(item.name), item.wanted) for item in had)
        for result in results:
            if result.requirements is not None and result.problem is None and _met(result, after):
                result.requirements = None
                self._context.journal.emit(RequirementsChanged(result.pack.name, StepStatus.SKIPPED))

    def after_clones(self, results: Sequence[PackResult]) -> None:
        """The packages, once all packs are there."""
        bad = [result for result in results if result.commit != result.pack.ref]
        if bad and self._exact:
            raise _not_exact("%s could not be brought to its commit" % bad[0].pack.name)
        wanted = self._wanted()
        if self._uv is not None:
            self._emit_plan(wanted)
        unavailable = self._install(wanted)
        if unavailable and self._exact:
            raise _not_exact(some(sorted(unavailable.values())))
        self._warn_of(unavailable)
        self._refresh()

    def before_verify(self, results: Sequence[PackResult]) -> None:
        """What is not exact by now need not be imported first."""
        if self._exact:
            self.after_verify(results)

    def after_verify(self, results: Sequence[PackResult]) -> None:
        """What is there now, compared with the lock."""
        self._refresh()
        found = self._found(results, self._context.packages)
        if found and self._exact:
            raise _not_exact(some(found))
        if found:
            self._context.warn(
                "lock_not_exact", "%s." % some(found), "Install the lock again, or change these yourself."
            )

    def compared(self, results: Sequence[PackResult], packages: Mapping[str, str]) -> Dict[str, Any]:
        """The comparison as the run's own lock has it."""
        extra = {
            "node_packs": compare.extra_packs(self._context, self._lock),
            "packages": compare.extra_packages(packages, self._lock),
        }
        told = [remark.message for remark in compare.remarks(self._context, self._lock) if remark.code != "not_in_lock"]
        left_out = ["%s cannot be installed: %s" % (entry["name"], entry["reason"]) for entry in self._lock.left_out]
        return {"differences": [*self._found(results, packages), *left_out, *told], "not_in_lock": extra}

    def _found(self, results: Sequence[PackResult], packages: Mapping[str, str]) -> List[str]:
        git = self._context.git()
        heads = [(result.pack, git.head(result.folder)) for result in results]
        return [str(item) for item in compare.differences(self._lock, packages)] + [
            "%s is at %s, the lock has %s" % (pack.name, (head or "no commit")[:10], pack.ref)
            for pack, head in heads
            if head != pack.ref
        ]

    # -- packages ----------------------------------------------------------------------------------------------------

    def _wanted(self) -> List[Difference]:
        """What is to be installed."""
        if not self._context.environment or self._context.python_problem:
            return []
        refused = compare.refused(self._context, self._lock)
        return [item for item in compare.differences(self._lock, self._context.packages) if item.name not in refused]

    def _install(self, wanted: Sequence[Difference], *, dry_run: bool = False) -> Dict[str, str]:
        """Installs; by halves where that fails, so that one version that cannot be had costs only itself. What could
        not be had, and why."""
        if not wanted:
            return {}
        if self._uv is None:
            return {"": "The lock's packages were not installed: uv is not on the instance."}
        finished = self._uv.install(self._file(wanted), self._log, _ignore, dry_run=dry_run)
        tell_unreadable(self._context, self._uv)
        if finished.ok:
            return {}
        if len(wanted) == 1 or self._exact:
            pins = [_pin(item) for item in wanted]
            said = "%s could not be installed: %s" % (", ".join(pins[:3]), reasons.of_packages(finished).message)
            return dict.fromkeys(pins, said) if len(pins) == 1 else {"": said}
        half = len(wanted) // 2
        return {**self._install(wanted[:half], dry_run=dry_run), **self._install(wanted[half:], dry_run=dry_run)}

    def _warn_of(self, unavailable: Mapping[str, str]) -> None:
        for text in sorted(unavailable.values())[:MOST_NAMED]:
            self._context.warn("lock_package_unavailable", text, "The installed version stays.")

    def _emit_plan(self, wanted: Sequence[Difference]) -> None:
        changes = [Change(item.name, item.installed, item.wanted) for item in wanted]
        if changes:
            self._context.journal.emit(PackagesPlanned(Plan(_STAGE, [], changes).described()))

    def _file(self, wanted: Sequence[Difference]) -> Path:
        path = self._context.task.folder / "lock.txt"
        write_lines(path, [_pin(item) for item in wanted])
        return path

    def _refresh(self) -> None:
        """What comes after plans with what is installed now."""
        if self._context.environment:
            with suppress(OSError):
                self._context.environment = inspect_again(self._context.environment, self._run)


def _met(result: PackResult, packages: Mapping[str, str]) -> bool:
    """Whether these packages (canonical names) are all that a pack requires."""
    if result.requirements is None:
        return True
    try:
        read = read_requirements(result.requirements, result.folder, packages)
    except OSError:
        return False
    asked = [(name_of(line), bounds_of(line)) for line in read.lines if not line.startswith("--")]
    return read.problem is None and all(
        name in packages and bounds is not None and satisfies(packages[name], bounds) is True for name, bounds in asked
    )


def _pin(item: Difference) -> str:
    return "%s==%s" % (item.name, item.wanted)


def _not_exact(why: str) -> RunFault:
    return RunFault("lock_not_exact", "%s." % why.rstrip("."), _EXACT_HINT)


def _ignore(line: str) -> None:
    """The lock's packages are not counted."""
