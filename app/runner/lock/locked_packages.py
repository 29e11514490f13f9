"""Installing a lock's packages: their versions, from where the lock has them, and the files of those that it has on
top."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

from app.protocol.lockfile import Lock, Overlap
from app.runner.context import Context, PackResult
from app.runner.environment import transaction
from app.runner.environment.environment import Environment
from app.runner.environment.same_library import FAMILIES
from app.runner.hints import reasons
from app.runner.lock.differences import Difference, differences
from app.runner.lock.overlaps import in_words, is_mixed, not_as, overlaps_in
from app.runner.lock.policy_refusals import may_use_places
from app.runner.process.children import Finished
from app.runner.requirements.file_options import FileOptions, Place
from app.runner.requirements.lines import asked_by, canonical
from app.runner.requirements.markers import holds
from app.runner.requirements.versions import satisfies
from app.runner.resolve.installer import nothing_kept, tell_unreadable
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.no_builds import was_refused
from app.runner.resolve.own_sources import OwnSources
from app.runner.resolve.plan import write_lines
from app.runner.resolve.protection import read_requirements
from app.runner.resolve.uv import Uv


class LockedPackages:
    """The packages of one lock, with uv; nothing is installed without it. Raises RunCancelled."""

    def __init__(self, context: Context, lock: Lock, uv: Optional[Uv]) -> None:
        self._context = context
        self._lock = lock
        self._uv = uv
        self._log = context.task.folder / "lock.log"
        self._own = _own_sources(context, lock) if uv is not None else None

    @property
    def has_uv(self) -> bool:
        """Whether there is a uv."""
        return self._uv is not None

    def install(self, wanted: Sequence[Difference], *, dry_run: bool = False) -> Dict[str, str]:
        """Installs; by halves where that fails, so that one package that cannot be had costs only itself. With `exact`
        one such package is enough, and is looked for among the rest. What could not be had, and why, by pins."""
        if not wanted:
            return {}
        if self._uv is None:
            return {"": "The lock's packages were not installed: uv is not on the instance"}
        finished = self._carry_out(self._uv, wanted, dry_run=dry_run)
        if finished.ok or (dry_run and len(wanted) == 1 and was_refused(finished)):
            return {}
        exact = self._context.options.exact
        if len(wanted) == 1 or (exact and not dry_run):
            pins = [item.pin for item in wanted]
            said = "%s could not be installed: %s" % (", ".join(pins[:3]), reasons.of_packages(finished).message)
            return {pins[0] if len(pins) == 1 else "": said}
        half = len(wanted) // 2
        found = self.install(wanted[:half], dry_run=dry_run)
        return found if found and exact else {**found, **self.install(wanted[half:], dry_run=dry_run)}

    def _carry_out(self, uv: Uv, wanted: Sequence[Difference], *, dry_run: bool) -> Finished:
        """One call of uv; where it fails in the middle, or is cancelled, all is as it was."""
        context, environment = self._context, self._context.environment
        uv = uv.with_sources(self._own)
        file, arguments = self._file(wanted), self._arguments(wanted)
        if dry_run or environment is None:
            return uv.install(file, self._log, _ignore, dry_run=True, arguments=arguments)
        try:
            change = transaction.begin(environment, [item.name for item in wanted], context.task.task_id)
        except OSError as exc:
            return nothing_kept(exc)
        finished: Optional[Finished] = None
        try:
            finished = uv.install(file, self._log, _ignore, arguments=arguments)
            tell_unreadable(context, uv)
        finally:
            if finished is not None and finished.ok:
                change.commit()
            elif change.roll_back():
                context.unfinished.append(change)
        if finished.ok:
            context.changed.update({canonical(item.name): item.wanted for item in wanted if item.wanted})
        return finished

    def _file(self, wanted: Sequence[Difference]) -> Path:
        path = self._context.task.folder / "lock.txt"
        write_lines(path, [item.pin for item in wanted])
        return path

    def _arguments(self, wanted: Sequence[Difference]) -> List[str]:
        """What is there in its version, and came from elsewhere, is installed again. A pin is looked for in all
        indexes, not in the first that knows the package."""
        found = [part for item in wanted if item.moved for part in ("--reinstall-package", item.name)]
        return [*found, "--index-strategy", "unsafe-first-match"] if self._lock.indexes else found

    def remove(self, names: Sequence[str]) -> None:
        """Removes packages that are in the way of the lock's."""
        if names and self._uv is not None:
            self._uv.uninstall(names, self._log)
            self._context.changed.update(dict.fromkeys(names))

    # -- files that two packages have ------------------------------------------------------------------------------

    def wrong_files(self) -> List[str]:
        """The files that are not of the package that the lock has on top, a sentence for each pair of packages."""
        environment = self._context.environment
        if not self._lock.overlaps or not environment:
            return []
        now = overlaps_in(environment.paths)
        return [in_words(each, now) for each in self._wrong(environment, now)]

    def restore_overlaps(self) -> None:
        """Installs the packages again whose files the lock has on top, each after those that lie beneath it."""
        environment = self._context.environment
        if self._uv is None or not environment:
            return
        for _ in self._lock.overlaps:
            now = overlaps_in(environment.paths)
            wrong = [each for each in self._wrong(environment, now) if not is_mixed(each, self._lock.overlaps)]
            if not wrong:
                return
            top = self._again(wrong[0].on_top)
            if top is None or self.install([top]):
                return

    def _wrong(self, environment: Environment, now: Sequence[Overlap]) -> List[Overlap]:
        """Of packages that are not there in the lock's versions, that is said already."""
        versions = {canonical(name): version for name, version in self._lock.packages.items()}
        return [
            each
            for each in not_as(self._lock.overlaps, now)
            if all(
                environment.packages.get(name, "") == versions.get(name)
                for name in map(canonical, (each.on_top, *each.beneath))
            )
        ]

    def _again(self, name: str) -> Optional[Difference]:
        """A package as the lock has it, to be installed anew."""
        for item in differences(self._lock, {}):
            if canonical(item.name) == canonical(name):
                return item._replace(installed=item.wanted)
        return None


def _own_sources(context: Context, lock: Lock) -> Optional[OwnSources]:
    """The packs' own places, for what came from there; where the lock does not say what, for all that it names."""
    locations = [Place(True, url, url) for url in lock.indexes] + [Place(False, url, url) for url in lock.find_links]
    if not locations or not may_use_places(context, lock):
        return None
    from app.runner.resolve.pack_places import PlacesServer  # as long to load as much else together

    names = frozenset(map(canonical, lock.packages))
    named = names if lock.from_places is None else lock.from_places
    settings = InstallerSettings.of(context)
    found = PlacesServer().add(FileOptions(locations), named, frozenset(), [*settings.indexes, *settings.find_links])
    return OwnSources(FileOptions(), names, found)


def is_met(result: PackResult, context: Context, lock: Lock, packages: Mapping[str, str]) -> bool:
    """Whether a pack needs nothing besides the lock and what is installed (`packages`: canonical names and versions).
    An exact lock, or a repair, is right about its own packages, whatever a pack's bounds say; an address is met by the
    lock's."""
    if result.requirements is None:
        return True
    try:
        read = read_requirements(result.requirements, result.folder, packages)
    except OSError:
        return False
    markers = context.environment.markers if context.environment else {}
    locked = {canonical(name) for name in [*lock.packages, *(lock.sources or ())]}
    return read.problem is None and all(
        _is_line_met(line, locked, packages, markers, exact=context.options.exact or lock.repairs)
        for line in read.lines
        if not line.startswith("--")
    )


def _is_line_met(
    line: str, locked: set[str], packages: Mapping[str, str], markers: Mapping[str, str], *, exact: bool
) -> bool:
    asked, _, marker = line.partition(" ;" if "://" in line else ";")
    if marker.strip() and holds(marker.strip(), markers) is False:
        return True
    name, bounds = asked_by(asked.strip())
    family = next((each for each in FAMILIES if name in each), (name,))
    present = [each for each in family if each in packages]
    if not present:
        return False
    if locked.intersection(present) and (exact or bounds is None or name not in packages):
        return True
    return bounds is not None and satisfies(packages[present[0]], bounds) is True


def _ignore(line: str) -> None:
    """The lock's packages are not counted."""
