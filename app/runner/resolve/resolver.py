"""Resolutions for one interpreter: uv with what may not change as constraints, and with one variant of each family."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from app.runner.context import Context
from app.runner.process.children import Finished
from app.runner.requirements.lines import canonical
from app.runner.requirements.versions import readable
from app.runner.resolve.builds import Builds
from app.runner.resolve.compatible_sets import PrefetchResult
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.left_out import LeftOut
from app.runner.resolve.metadata_mirror import MetadataMirror
from app.runner.resolve.plan import Change, Details, PackRequirements, Plan, changes, own_of, write_lines
from app.runner.resolve.plan_details import details_of, stays
from app.runner.resolve.protection import constraints, never
from app.runner.resolve.uv import CONSTRAINTS, Uv, is_for_want_of_network
from app.runner.resolve.variants import Variants, bounds_for_gpu

_UNAVAILABLE = "0+nodeferry.unavailable"


class Asked(NamedTuple):
    """When uv was asked: how many plans' changes there were by then that it could not see, and what it saw."""

    unseen_from: int
    seen: Mapping[str, str]


class Resolver:
    """One run's. `solve` may be called from several threads; what is written between solves is not."""

    def __init__(
        self, context: Context, uv: Uv, variants: Variants, mirror: MetadataMirror, builds: Optional[Builds] = None
    ) -> None:
        """`mirror`: of the environment as it is; `builds`: what is built beside all that."""
        self._uv = uv
        self._low_priority_uv = uv.low_priority()
        self._mirror = mirror
        self._folder = context.task.folder
        self._timeout = context.limits.resolve_builds
        self._log = self._folder / "packages.log"
        self._lock = threading.Lock()
        self.variants = variants
        self._never = never(context.packages)
        self._left_out = LeftOut(context)
        self.installed: Dict[str, str] = dict(context.packages)
        """Canonical names and versions, kept up to date as plans are carried out."""
        self.expected: Dict[str, str] = dict(self.installed)
        """The same, once all plans that were made are carried out."""
        self._seen: Dict[str, str] = dict(self.installed)
        """What uv sees."""
        self._history: List[Change] = []
        """The changes of all plans, in their order."""
        self._unseen_from = 0
        image = InstallerSettings.of(context).constraints
        held = [*constraints(context.packages, context.ui_home, image), *bounds_for_gpu(context.environment)]
        self._protections = self._write(CONSTRAINTS, held)
        self._frozen = self._write("frozen.txt", frozen(self.installed))
        self._unavailable: Dict[str, str] = {}
        self._missing = self._write("unavailable.txt", [])
        self._never_file = self._write("never.txt", self._never)
        self._alone_file = self._folder / "alone.txt"
        self._overrides = self._write("overrides.txt", [])
        self._extra = self._write("extra.txt", [])
        self._settled_files: Dict[Tuple[str, ...], Path] = {}
        self._builds = builds

    def agreeing(self, items: Sequence[PackRequirements], known: PrefetchResult) -> Finished:
        """What would be installed, or built, for these packs without any change of what is installed. `known`: what
        was found out beside the clones: an answer for just these is the answer, and where uv has asked for all that
        they name, its cache is asked first. Raises RunCancelled."""
        answer = known.answer_for(items)
        if answer is not None:
            found = self.changes(answer)
            has_all = not any(canonical(change.package) in self._unavailable for change in found)
            if has_all and not self.variants.settle_clash(found) and not self._left_out.unwanted(found):
                return answer
        if self._is_cached(items, known):
            finished = self._solve(items, exact=True, builds=True, offline=True)
            found = self.changes(finished) if finished.ok else []
            if finished.ok and not self.variants.settle_clash(found) and not self._left_out.unwanted(found):
                return finished
        return self.solve(items, exact=True, builds=True, timeout=self._timeout)

    def with_changes(
        self,
        items: Sequence[PackRequirements],
        base: Sequence[PackRequirements],
        known: PrefetchResult,
        *,
        settled: Sequence[str],
        low_priority: bool,
    ) -> Finished:
        """What wheels would be installed, and what changed, for these packs beside those of `base`; the cache is asked
        first, as for `agreeing`. A conflict that is not for want of the network is one. Raises RunCancelled."""
        how: Dict[str, Any] = {
            "exact": False,
            "builds": False,
            "base": base,
            "settled": settled,
            "low_priority": low_priority,
        }
        if self._is_cached([*base, *items], known):
            finished = self.solve(items, offline=True, **how)
            if finished.ok or not is_for_want_of_network(finished):
                return finished
        return self.solve(items, **how)

    def _is_cached(self, items: Sequence[PackRequirements], known: PrefetchResult) -> bool:
        """Whether uv has asked for all that they name in this run."""
        names = known.fresh | set(self.installed)
        return all(item.names <= names and item.own is None for item in items)

    def solve(
        self,
        items: Sequence[PackRequirements],
        *,
        exact: bool,
        builds: bool,
        base: Sequence[PackRequirements] = (),
        settled: Sequence[str] = (),
        offline: bool = False,
        low_priority: bool = False,
        timeout: Optional[float] = None,
    ) -> Finished:
        """What would be installed for these packs beside those of `base`. `exact`: no installed package may change.
        `settled`: packages that are planned already, not to be looked at again; `offline`: by the cache alone;
        `low_priority`: others have the machine first. Raises RunCancelled."""
        how: Dict[str, Any] = {"exact": exact, "builds": builds, "base": base, "timeout": timeout}
        # An override that never applies takes a settled package out of the resolution.
        overrides = [self._settled_file(tuple(settled))]
        served = {name for item in base if item.own is not None for name in item.own.served}
        served -= {name for item in items for name in item.names}
        overrides += [self._settled_file(tuple(sorted(served)))] if served else []
        how |= {"overrides": overrides, "offline": offline, "low_priority": low_priority}
        finished = self._solve(items, **how)
        if finished.ok and self.variants.settle_clash(self.changes(finished)):
            finished = self._solve(items, **how)
        out = self._left_out.unwanted(self.changes(finished) if finished.ok else [], finished)
        if out:
            again = self._solve(items, **{**how, "overrides": [*overrides, self._settled_file(tuple(sorted(out)))]})
            if again.ok:
                self._left_out.add(out)
                return again
        return finished

    @property
    def at_work(self) -> List[str]:
        """The packages that are just being built: uv would wait for the build of one that it needs."""
        return sorted(self._builds.at_work) if self._builds else []

    def _settled_file(self, names: Tuple[str, ...]) -> Path:
        """One for each set of names: a uv of another thread may be reading another one."""
        with self._lock:
            if names not in self._settled_files:
                lines = ["%s ; sys_platform == 'never'" % name for name in names]
                self._settled_files[names] = self._write("settled-%d.txt" % len(self._settled_files), lines)
            return self._settled_files[names]

    def _solve(
        self,
        items: Sequence[PackRequirements],
        *,
        exact: bool,
        builds: bool,
        base: Sequence[PackRequirements] = (),
        overrides: Sequence[Path] = (),
        offline: bool = False,
        low_priority: bool = False,
        timeout: Optional[float] = None,
    ) -> Finished:
        held = [self._protections, self._missing]
        if exact:
            held.append(self._frozen)
        with self._lock:
            _renew(self._overrides, [*self.variants.overrides(), *self._left_out.overrides])
            _renew(self._extra, sorted(self.variants.extra))
        own = own_of(items)
        files = [item.file for item in [*base, *items]] + [self._extra] + self._options_files(items)
        uv = (self._low_priority_uv if low_priority else self._uv).with_sources(own)
        with self._mirror.lent() as seen:
            return uv.plan(
                files,
                self._log,
                constraints=held,
                overrides=[self._overrides, self._mirror.unseen, *overrides],
                builds=builds,
                target=seen,
                offline=offline,
                timeout=timeout,
            )

    def alone(self, lines: Sequence[str]) -> Finished:
        """What would be installed for these lines by themselves, whatever is installed, required by ComfyUI or asked
        for by others; of the torch family nothing, and nothing of what is just being built: its end is not waited for.
        For one thread at a time. Raises OSError, RunCancelled."""
        write_lines(self._alone_file, lines)
        with self._mirror.lent() as seen:
            return self._low_priority_uv.plan(
                [self._alone_file],
                self._log,
                constraints=[self._missing],
                overrides=[self._mirror.unseen, self._never_file, self._settled_file(tuple(self.at_work))],
                target=seen,
                timeout=self._timeout,
            )

    def _options_files(self, items: Sequence[PackRequirements]) -> List[Path]:
        """The files of these packs' own rules."""
        found = []
        for item in items:
            if item.options:
                path = item.file.with_suffix(".options")
                write_lines(path, item.options)
                found.append(path)
        return found

    def changes(self, finished: Finished) -> List[Change]:
        """The plan in uv's answer, beside the plans that were made before."""
        found = self.variants.with_removals(changes(finished.output, self.expected))
        return [change for change in found if change.new is not None or canonical(change.package) in self.expected]

    def asked(self) -> Asked:
        """To be kept with a question that is asked now."""
        return Asked(self._unseen_from, self._seen)

    def disturbs(self, finished: Finished, asked: Asked, settled: Iterable[str] = ()) -> bool:
        """Whether an answer wants something else of what uv could not see when it was asked. `settled`: packages that
        it was told to leave alone."""
        out = set(settled)
        unseen = {change for change in self._history[asked.unseen_from :] if canonical(change.package) not in out}
        return not unseen <= set(changes(finished.output, asked.seen))

    def planned(self, plan: Sequence[Change]) -> None:
        """It is to be carried out: later plans come on top of it."""
        self._history += plan
        _bring(self.expected, plan)

    def still_to_come(self, plan: Sequence[Change]) -> List[Change]:
        """What of a plan no other plan brings."""
        return [
            change for change in plan if change.source or self.expected.get(canonical(change.package)) != change.new
        ]

    def refresh(self) -> None:
        """Nothing is being installed: from now on uv sees what is there. Raises OSError."""
        self.installed = self._mirror.look()
        self.expected, self._seen = dict(self.installed), dict(self.installed)
        self._unseen_from = len(self._history)
        write_lines(self._frozen, frozen(self.installed))

    def details(self, plan: Plan) -> Details:
        """What can be told at once of a plan's packages. Raises RunCancelled."""
        unseen = [*self._never, *stays(self.installed, plan.changes)]
        return details_of(
            plan, self._uv.with_sources(own_of(plan.items)), self._folder / "details", unseen, self._overrides
        )

    @property
    def blocked(self) -> FrozenSet[str]:
        """What is known to be unavailable."""
        return frozenset(self._unavailable)

    def unavailable(self, package: str) -> None:
        """From now on the package stays as it is: it cannot be fetched or built."""
        self._unavailable[package] = readable(self.installed.get(package, "")) or _UNAVAILABLE
        write_lines(self._missing, ["%s==%s" % item for item in sorted(self._unavailable.items())])

    def carried_out(self, plan: Sequence[Change]) -> None:
        """What a plan changed is how it is now."""
        _bring(self.installed, plan)

    def _write(self, name: str, lines: Sequence[str]) -> Path:
        path = self._folder / name
        write_lines(path, lines)
        return path


def _bring(versions: Dict[str, str], plan: Sequence[Change]) -> None:
    """Names and versions as they are after a plan."""
    for change in plan:
        if change.new is None:
            versions.pop(canonical(change.package), None)
        elif not change.source:
            versions[canonical(change.package)] = change.new


def _renew(path: Path, lines: Sequence[str]) -> None:
    """Writes only what is new: a uv of another thread may be reading it."""
    if path.read_text("utf-8") != "".join(line + "\n" for line in lines):
        write_lines(path, lines)


def frozen(installed: Mapping[str, str]) -> List[str]:
    """Every installed package held exactly, at the version that uv sees."""
    seen = [(name, readable(version)) for name, version in sorted(installed.items())]
    return ["%s==%s" % (name, version) for name, version in seen if version]
