"""Packages that overwrite each other: OpenCV's four share one `cv2`, onnxruntime's share one `onnxruntime`.

One of each is chosen, and every pack's lines are rewritten to it; what other packages ask for is taken out of the
resolution by an override.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set

from app.runner.environment.environment import Environment
from app.runner.environment.same_library import FAMILIES, ONNXRUNTIME, OPENCV
from app.runner.requirements.lines import canonical, name_of
from app.runner.resolve.plan import Change

_NAME_AND_EXTRAS = re.compile(r"^[A-Za-z0-9._-]+\s*(\[[^\]]*\])?")


class Variants:
    """The chosen ones of a run."""

    def __init__(
        self, installed: Mapping[str, str], *, gpu: bool, has: Callable[[str], bool] = lambda _name: True
    ) -> None:
        """`installed`: names and versions; one that is there stays the one, unless a pack asks for one that has more.
        `gpu`: onnxruntime may use it. `has`: whether the index has a package that nobody named."""
        self._gpu = gpu
        self._has = has
        self._installed = {canonical(name): version for name, version in installed.items()}
        self.replaced: Dict[str, List[Change]] = {}
        """By the chosen one that is to come: the installed ones that go then."""
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
            elif wanted and self.chosen[family] in self._installed:
                self._exchange(family, self.chosen[family], wanted)

    def _best(self, family: Sequence[str], wanted: Set[str]) -> str:
        if family is ONNXRUNTIME:
            best = "onnxruntime-gpu" if self._gpu else "onnxruntime"
            return self._first([best, *sorted(wanted)], wanted)
        if len(wanted) == 1:
            return next(iter(wanted))
        contrib = any("contrib" in name for name in wanted)  # has all that the plain one has
        serving = [name for name in OPENCV if "contrib" in name or not contrib]
        serving.sort(key=lambda name: ("headless" not in name, "contrib" in name and not contrib))
        return self._first(serving, wanted)

    def _exchange(self, family: Sequence[str], present: str, wanted: Set[str]) -> None:
        """Where a pack asks for more than the installed one has: contrib has all that the plain one has, and the one
        for the GPU all that the other has. Whether there is a screen stays as it is."""
        if family is ONNXRUNTIME:
            better = ["onnxruntime-gpu"] if self._gpu and "onnxruntime-gpu" in wanted - {present} else []
        else:
            asks = "contrib" not in present and any("contrib" in name for name in wanted)
            serving = [name for name in OPENCV if "contrib" in name] if asks else []
            better = sorted(serving, key=lambda name: ("headless" in name) != ("headless" in present))
        chosen = self._first(better, wanted) if better else present
        if chosen != present:
            others = [name for name in family if name in self._installed and name != chosen]
            self.replaced[chosen] = [Change(name, self._installed[name], None) for name in others]
            self.chosen[family] = chosen
            self.extra.add(chosen)

    def _first(self, names: Sequence[str], wanted: Set[str]) -> str:
        """The first that somebody asks for, that is installed, or that the index has."""
        return next((name for name in names if name in wanted or name in self._installed or self._has(name)), names[0])

    def with_removals(self, planned: Sequence[Change]) -> List[Change]:
        """A plan with what has to go before what it brings."""
        brought = {canonical(change.package) for change in planned if change.new is not None}
        gone = [each for chosen, changes in self.replaced.items() if chosen in brought for each in changes]
        return [*planned, *(each for each in gone if each not in planned)]

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


def bounds_for_gpu(environment: Optional[Environment]) -> List[str]:
    """Constraints that keep onnxruntime-gpu at what was built for torch's CUDA. Source: onnxruntime's page of its CUDA
    provider; from 1.19 on, the packages on the index are for CUDA 12."""
    cuda = environment.torch.cuda if environment and environment.torch else None
    if not environment or not cuda or "onnxruntime-gpu" in environment.packages:
        return []
    return ["onnxruntime-gpu<1.19" if cuda.startswith("11.") else "onnxruntime-gpu>=1.19"]


def other_cuda(environment: Optional[Environment], chosen: Iterable[str]) -> str:
    """What to say where the index has no onnxruntime-gpu for torch's CUDA; empty where it has."""
    cuda = environment.torch.cuda if environment and environment.torch else None
    major = (cuda or "").partition(".")[0]
    if "onnxruntime-gpu" not in set(chosen) or not major.isdecimal() or int(major) <= 12:
        return ""
    return (
        "onnxruntime-gpu is built for CUDA 12, and torch for CUDA %s: without CUDA 12's libraries it uses the CPU."
        % (cuda)
    )
