"""Resolutions for one interpreter: uv with what may not change as constraints, and with one variant of each family."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Dict, FrozenSet, List, Mapping, Sequence

from app.runner.context import Context
from app.runner.daemon.children import Finished
from app.runner.packages.plan import Change, Wanted, changes, write_lines
from app.runner.packages.requirement_files import canonical, constraints, never
from app.runner.packages.uv import CONSTRAINTS, Uv
from app.runner.packages.variants import Variants

_PLAIN_VERSION = re.compile(r"^[A-Za-z0-9.!+_-]+$")
_UNAVAILABLE = "0+nodeferry.unavailable"


class Resolver:
    """One run's. `solve` may be called from several threads; what is written between solves is not."""

    def __init__(self, context: Context, uv: Uv, variants: Variants) -> None:
        self._uv = uv
        self._folder = context.task.folder
        self._log = self._folder / "packages.log"
        self._lock = threading.Lock()
        self.variants = variants
        self.system_site = bool(context.python["system_site"])
        self._family = never(context.packages) if self.system_site else []
        self.installed: Dict[str, str] = {canonical(name): version for name, version in context.packages.items()}
        """Canonical names and versions, kept up to date as plans are carried out."""
        self._protections = self._write(CONSTRAINTS, constraints(context.packages, context.ui_home))
        self._frozen = self._write("frozen.txt", frozen(self.installed))
        self._unavailable: Dict[str, str] = {}
        self._missing = self._write("unavailable.txt", [])
        self._overrides = self._write("overrides.txt", [])
        self._extra = self._write("extra.txt", [])
        self._loose = self._write("loose.txt", [])

    def solve(self, items: Sequence[Wanted], *, exact: bool, builds: bool, base: Sequence[Wanted] = ()) -> Finished:
        """What would be installed for these packs beside those of `base`. `exact`: no installed package may change.
        Raises RunCancelled."""
        finished = self._solve(items, exact=exact, builds=builds, base=base)
        if finished.ok and self.variants.settle_clash(self.changes(finished)):
            finished = self._solve(items, exact=exact, builds=builds, base=base)
        return finished

    def _solve(self, items: Sequence[Wanted], *, exact: bool, builds: bool, base: Sequence[Wanted]) -> Finished:
        held = [self._protections, self._missing]
        if exact:
            held.append(self._frozen)
        elif self.system_site:
            held.append(self._loosened(items))
        with self._lock:
            write_lines(self._overrides, [*self._family, *self.variants.overrides()])
            write_lines(self._extra, sorted(self.variants.extra))
        files = [item.file for item in [*base, *items]] + [self._extra]
        return self._uv.plan(files, self._log, constraints=held, overrides=[self._overrides], builds=builds)

    def changes(self, finished: Finished) -> List[Change]:
        """The plan in uv's answer."""
        return changes(finished.output, self.installed)

    @property
    def blocked(self) -> FrozenSet[str]:
        """What is known to be unavailable."""
        return frozenset(self._unavailable)

    def unavailable(self, package: str) -> None:
        """From now on the package stays as it is: it cannot be fetched or built."""
        self._unavailable[package] = self.installed.get(package, _UNAVAILABLE)
        write_lines(self._missing, ["%s==%s" % item for item in sorted(self._unavailable.items())])

    def carried_out(self, plan: Sequence[Change]) -> None:
        """What a plan changed is how it is now."""
        for change in plan:
            if change.new is None:
                self.installed.pop(canonical(change.package), None)
            elif not change.source:
                self.installed[canonical(change.package)] = change.new

    def _loosened(self, items: Sequence[Wanted]) -> Path:
        """uv does not see what the system has: all of that is held, but for what the packs want otherwise."""
        wanted: FrozenSet[str] = frozenset().union(*(item.mismatches(self.installed) for item in items))
        kept = {name: version for name, version in self.installed.items() if name not in wanted}
        with self._lock:
            write_lines(self._loose, frozen(kept))
        return self._loose

    def _write(self, name: str, lines: Sequence[str]) -> Path:
        path = self._folder / name
        write_lines(path, lines)
        return path


def frozen(installed: Mapping[str, str]) -> List[str]:
    """Every installed package held exactly."""
    return ["%s==%s" % item for item in sorted(installed.items()) if _PLAIN_VERSION.match(str(item[1]))]
