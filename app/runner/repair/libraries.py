"""Another version of one library, with its companions, inside of ComfyUI's own bounds."""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, Optional, Sequence

from app.runner.repair.candidates import newer, older
from app.runner.repair.trials import Trials
from app.runner.requirements.lines import canonical
from app.runner.requirements.versions import is_older
from app.runner.resolve.plan import Change

_MOST_SERIES = 12
_TRIED = frozenset({0, 1, 3, 7, 11})
Try = Callable[[Optional[Sequence[Change]], str], bool]
"""Whether the pack loads with these changes; None: they cannot be had. And what they are, in words."""


class Libraries:
    """One package's versions, for one pack."""

    def __init__(self, trials: Trials, package: str) -> None:
        self._trials = trials
        self._package = package
        self._plans: Dict[str, List[Change]] = {}

    def search(self, goes: Try) -> None:
        """A newer one first, then older series. Raises RunCancelled, OutOfTime, OSError."""
        installed = self._trials.packages.get(self._package)
        if installed is None:
            return
        found = self._version_of(newer(self._package, installed))
        if found is not None and goes(self._plans[found], self._words(found)):
            return
        for version in self._older(installed):
            if goes(self._plans[version], self._words(version)):
                return

    def _older(self, installed: str) -> Iterator[str]:
        """The last version of the major series before, which is the likeliest; then of the series before the present
        one, and of those before the first. Each is looked for only when its turn comes."""
        major = older(self._package, installed)[1:]
        first = self._version_of(major[0]) if major else None
        if first is not None:
            yield first
        near, far = self._walk(installed), self._walk(first) if first is not None else iter(())
        seen = {first}
        for walk in (near, far, far, near, far, far, near, far):
            version = next(walk, None)
            if version is not None and version not in seen:
                seen.add(version)
                yield version

    def _walk(self, version: str) -> Iterator[str]:
        """Ever older ones, by growing steps."""
        now = version
        for number in range(_MOST_SERIES):
            lines = older(self._package, now)
            found = self._version_of(lines[0]) if lines else None
            if found is None or not is_older(found, than=now):
                return
            now = found
            if number in _TRIED:
                yield found

    def _version_of(self, line: str) -> Optional[str]:
        """Which version a line brings; its plan is kept."""
        plan = self._trials.plan([line])
        for change in plan or ():
            if canonical(change.package) == self._package and change.new is not None:
                self._plans[change.new] = list(plan or ())
                return change.new
        return None

    def _words(self, version: str) -> str:
        companions = [
            "%s %s" % (change.package, change.new)
            for change in self._plans[version]
            if canonical(change.package) != self._package and change.new is not None
        ]
        return "%s %s%s" % (self._package, version, " with %s" % ", ".join(companions[:6]) if companions else "")
