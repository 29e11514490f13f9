"""A lock that is to be brought about: packages at their versions, packs at their commits, and said what cannot be had.

Packages are installed as they stand, without what they require: the lock names that too. With `options.exact` it is
everything or nothing: what cannot be is refused before anything is changed, and what fails later ends the run, which is
then put back (`rollback.noted`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Set

from app.protocol.events import PackagesPlanned, RequirementsChanged
from app.protocol.lockfile import Lock, read_lock
from app.protocol.manifest import split_source
from app.protocol.states import StepStatus
from app.runner.context import Context, PackResult
from app.runner.environment.environment import Environment
from app.runner.environment.inspection import inspect_again
from app.runner.lock import compare
from app.runner.lock.compare import MOST_NAMED, some
from app.runner.lock.differences import Difference, Distributions, differences
from app.runner.lock.locked_packages import LockedPackages, is_met
from app.runner.lock.refusals import decide, moved_here
from app.runner.packs.already_installed import AlreadyInstalled
from app.runner.packs.installed import project_version
from app.runner.packs.registry_versions import same_version
from app.runner.process.errors import RunFault
from app.runner.process.execute import Execute
from app.runner.process.git_environ import schemes_of
from app.runner.requirements.lines import canonical
from app.runner.resolve.build_help import BuildHelp
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.plan import Change, Plan
from app.runner.resolve.uv import Uv
from app.runner.resolve.wheel_sources import WheelSources

_STAGE = "lock"
_NO_LOSS = ("not_in_lock", "snapshot_remark")
_EXACT_HINT = "Without options.exact, Nodeferry installs what it can of the lock."


def of_request(context: Context) -> Optional[Lock]:
    """The lock that the run was asked to bring about, checked before by `read_manifest`; None for another manifest."""
    form, value = split_source(context.request.get("manifest"))
    if form != "lock":
        return None
    lock = read_lock(value, schemes_of(context.request))
    packs = tuple(AlreadyInstalled.of(context).pack(pack) for pack in lock.packs)
    return replace(
        lock, packs=packs, only_there=tuple(moved_here(each, lock, context.ui_home) for each in lock.only_there)
    )


class Locked:
    """Brings a lock about, in the order of the methods. Each raises RunFault where `exact` was asked for and cannot
    be, RunCancelled."""

    def __init__(self, context: Context, lock: Lock, uv: Optional[str], run: Execute) -> None:
        self._context = context
        self._lock = lock
        self._run = run
        self._exact = context.options.exact
        program: Optional[Uv] = None
        if uv is not None and context.environment and context.python_problem is None:
            limits, wheels = context.limits.packages, WheelSources.of(context)
            folder = context.task.folder
            settings, build_help = InstallerSettings.of(context), BuildHelp.of(context)
            program = Uv(
                context.children,
                uv,
                context.environment,
                folder,
                limits,
                settings=settings,
                wheels=wheels,
                build_help=build_help,
            )
        self._packages = LockedPackages(context, lock, program)
        self._unavailable: FrozenSet[str] = frozenset()
        """The lines of what could not be had; it is not asked for again."""

    @property
    def names(self) -> FrozenSet[str]:
        """Its packages, by canonical names."""
        return frozenset(canonical(name) for name in self._lock.packages)

    def from_places(self, packages: Mapping[str, str]) -> Set[str]:
        """Its packages that come from packs' own places, and are there in its version. `packages`: canonical names and
        versions."""
        wanted = {canonical(name): version for name, version in self._lock.packages.items()}
        return {name for name in self._lock.from_places or () if packages.get(name) == wanted.get(name)}

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
        """Whether all packages can be had, without a change."""
        wanted = [item for item in decide(self._context, self._lock).wanted if item.can_be_tried]
        if not wanted:
            return
        if not self._packages.has_uv:
            text = "Nothing was changed. Locked versions are installed with uv, which is not on the instance."
            raise RunFault("lock_unavailable", text, "Install uv on the instance. %s" % _EXACT_HINT)
        unavailable = self._packages.install(wanted, dry_run=True)
        if unavailable:
            said = some(sorted(set(unavailable.values())))
            raise RunFault("lock_unavailable", "Nothing was changed. %s." % said, _EXACT_HINT)

    def plan(self, results: Sequence[PackResult]) -> None:
        """For a run that only plans: what would be installed. Packs whose requirements are met by it need no plan of
        their own."""
        wanted = decide(self._context, self._lock).wanted
        unavailable = self._packages.install(wanted, dry_run=True)
        self._warn_of(unavailable)
        had = [item for item in wanted if item.pin not in unavailable] if self._packages.has_uv else []
        self._emit_plan(had)
        after = dict(self._context.packages)
        after.update((canonical(item.name), item.wanted) for item in had)
        self._skip_met(results, after, StepStatus.SKIPPED)

    def after_clones(self, results: Sequence[PackResult]) -> None:
        """The packages, once all packs are there."""
        bad = [result for result in results if not _is_as_locked(result)]
        if bad and self._exact:
            raise _not_exact("%s could not be brought to its commit" % bad[0].pack.name)
        decided = decide(self._context, self._lock)
        if self._packages.has_uv:
            self._emit_plan(decided.wanted)
            self._packages.remove(decided.in_the_way)
        unavailable = self._packages.install(decided.wanted)
        if unavailable and self._exact:
            raise _not_exact(some(sorted(set(unavailable.values()))))
        self._warn_of(unavailable)
        self._unavailable = frozenset(unavailable)
        self._refresh()
        self._packages.restore_overlaps()
        for result in self._skip_met(results, self._context.packages, StepStatus.SUCCESS):
            if not result.script:
                self._context.settle(result)

    def before_verify(self, results: Sequence[PackResult]) -> None:
        """Puts back what the packs' scripts changed. What is not exact by now need not be imported first."""
        self._refresh()
        wanted = decide(self._context, self._lock).wanted
        moved = [item for item in wanted if item.installed is not None and item.pin not in self._unavailable]
        if moved and not self._packages.install(moved):
            self._refresh()
        self._packages.restore_overlaps()
        if self._exact:
            self.after_verify(results)

    def after_verify(self, results: Sequence[PackResult]) -> None:
        """What is there now, compared with the lock."""
        self._refresh()
        found = self._found(results, self._context.environment)
        if found and self._exact:
            raise _not_exact(some(found))
        if found:
            self._context.warn(
                "lock_not_exact", "%s." % some(found), "Install the lock again, or change these yourself."
            )

    def compared(self, results: Sequence[PackResult], environment: Optional[Environment]) -> Dict[str, Any]:
        """The comparison as the run's own lock has it."""
        extra = {
            "node_packs": compare.extra_packs(self._context, self._lock),
            "packages": compare.extra_packages(environment.packages if environment else {}, self._lock),
        }
        told = [remark.message for remark in compare.remarks(self._context, self._lock) if remark.code not in _NO_LOSS]
        left_out = compare.left_out(self._lock)
        return {"differences": [*self._found(results, environment), *left_out, *told], "not_in_lock": extra}

    def _found(self, results: Sequence[PackResult], environment: Optional[Environment]) -> List[str]:
        git = self._context.git()
        heads = [(result.pack, git.head(result.folder)) for result in results]
        installed: Distributions = environment.distributions if environment else {}
        return [
            *map(str, differences(self._lock, installed)),
            *self._packages.wrong_files(),
            *(
                "%s is at %s, the lock has %s" % (pack.name, (head or "no commit")[:10], pack.ref)
                for pack, head in heads
                if head != pack.ref and not pack.registry_id
            ),
            *(
                "%s is %s, the lock has %s" % (result.pack.name, version or "not there", result.pack.source)
                for result in results
                if result.pack.registry_id and not same_version(version := _version(result), result.pack.version)
            ),
        ]

    def _skip_met(
        self, results: Sequence[PackResult], packages: Mapping[str, str], status: StepStatus
    ) -> List[PackResult]:
        """The packs that need nothing besides the lock's packages are left out of what follows."""
        met = [
            result
            for result in results
            if result.requirements is not None
            and result.problem is None
            and is_met(result, self._context, self._lock, packages)
        ]
        for result in met:
            result.requirements = None
            self._context.journal.emit(RequirementsChanged(result.pack.name, status))
        return met

    def _warn_of(self, unavailable: Mapping[str, str]) -> None:
        for text in sorted(set(unavailable.values()))[:MOST_NAMED]:
            self._context.warn("lock_package_unavailable", text, "The installed version stays.")

    def _emit_plan(self, wanted: Sequence[Difference]) -> None:
        changes = [Change(item.name, item.installed, item.wanted or None, item.source) for item in wanted]
        if changes:
            self._context.journal.emit(PackagesPlanned(Plan(_STAGE, [], changes).described()))

    def _refresh(self) -> None:
        """What comes after plans with what is installed now."""
        if self._context.environment:
            with suppress(OSError):
                self._context.environment = inspect_again(self._context.environment, self._run)


def _not_exact(why: str) -> RunFault:
    return RunFault("lock_not_exact", "%s." % why.rstrip("."), _EXACT_HINT)


def _version(result: PackResult) -> str:
    """The version of a pack of the registry that is there, also where the run could not bring another one."""
    return result.version or project_version(result.folder)


def _is_as_locked(result: PackResult) -> bool:
    """Whether a pack is at its commit, or at its version of ComfyUI's registry."""
    if not result.pack.registry_id:
        return result.commit == result.pack.ref
    return result.version is not None and same_version(result.version, result.pack.version)
