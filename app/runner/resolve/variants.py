"""Packages that overwrite each other: OpenCV's four share one `cv2`, onnxruntime's share one `onnxruntime`.

One of each is chosen, and every pack's lines are rewritten to it; what other packages ask for is taken out of the
resolution by an override.
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set

from app.runner.environment.same_library import FAMILIES, ONNXRUNTIME
from app.runner.requirements.lines import canonical, name_of
from app.runner.resolve.plan import Change

_NAME_AND_EXTRAS = re.compile(r"^[A-Za-z0-9._-]+\s*(\[[^\]]*\])?")


class Variants:
    """The chosen ones of a run."""

    def __init__(self, installed: Mapping[str, str], *, gpu: bool) -> None:
        """`installed`: names and versions; one that is there stays the one. `gpu`: onnxruntime may use it."""
        self._gpu = gpu
        self.chosen: Dict[Sequence[str], str] = {}
        self._settled: Set[Sequence[str]] = set()
        self.extra: Set[str] = set()
        """Chosen ones that no pack's own line may bring, and that must be there."""
        names = {canonical(name) for name in installed}
        for family in FAMILIES:
            present = [name for name in family if name in names]
            if present:
                self.chosen[family] = present[0]
                self._settled.add(family)

    def undecided(self, lines: Iterable[str]) -> bool:
        """Whether the lines name a family of which none is chosen yet."""
        return any(name_of(line) in family for line in lines for family in FAMILIES if family not in self.chosen)

    def decide(self, names: Iterable[str]) -> None:
        """Chooses for all packs that were not chosen for, by all names that packs ask for."""
        asked = set(names)
        for family in FAMILIES:
            wanted = asked.intersection(family)
            if wanted and family not in self.chosen:
                self.chosen[family] = self._best(family, wanted)

    def _best(self, family: Sequence[str], wanted: Set[str]) -> str:
        if family is ONNXRUNTIME:
            return "onnxruntime-gpu" if self._gpu else "onnxruntime"
        if len(wanted) == 1:
            return next(iter(wanted))
        contrib = any("contrib" in name for name in wanted)  # has all that the plain one has
        return "opencv-contrib-python-headless" if contrib else "opencv-python-headless"

    def rewritten(self, lines: Sequence[str]) -> Dict[str, str]:
        """The lines that change, with what they become."""
        found = {}
        for line in lines:
            chosen = self._instead_of(name_of(line))
            if chosen and not line.startswith("-") and "@" not in line and "/" not in line:
                found[line] = re.sub(_NAME_AND_EXTRAS, chosen, line, count=1)
        return found

    def _instead_of(self, name: str) -> Optional[str]:
        for family, chosen in self.chosen.items():
            if name in family and name != chosen:
                return chosen
        return None

    def overrides(self) -> List[str]:
        """Overrides that keep the others out, where the chosen one is sure to be there."""
        return [
            "%s ; sys_platform == 'never'" % name
            for family, chosen in self.chosen.items()
            for name in family
            if name != chosen and family in self._settled
        ]

    def settle_clash(self, planned: Sequence[Change]) -> bool:
        """Whether a plan brings another variant than the chosen one, asked for by a package; if so the chosen one is
        settled, and the plan has to be made again."""
        added = {canonical(change.package) for change in planned if change.new is not None}
        clash = False
        for family in FAMILIES:
            brought = added.intersection(family)
            chosen = self.chosen.get(family)
            if (chosen is None and len(brought) > 1) or (chosen and brought - {chosen}):
                self.decide(brought)
                self._settled.add(family)
                self.extra.add(self.chosen[family])
                clash = True
        return clash
