"""Two packages of one library side by side: one stays, with all its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Collection, List, Sequence

from app.runner.environment.consistency import why_unmet
from app.runner.environment.environment import Environment
from app.runner.environment.freeze import Freeze, Installed, freeze_of, to_record
from app.runner.environment.same_library import FAMILIES, ONNXRUNTIME, members
from app.runner.guard.required import Requirement
from app.runner.requirements.lines import bounds_of, canonical
from app.runner.requirements.versions import satisfies


@dataclass(frozen=True)
class SideBySide:
    """Packages that overwrote each other. `present`: all that are installed; `candidates`: what may stay instead,
    the best first; the last is what was there before, if anything was."""

    present: Sequence[Installed]
    candidates: Sequence[Installed]

    def __str__(self) -> str:
        return " and ".join(map(str, self.present))


def side_by_side(
    was: Environment,
    now: Environment,
    required: Sequence[Requirement],
    *,
    gpu: bool,
    locked: Collection[str] = (),
) -> List[SideBySide]:
    """What has come beside another package of its library. `gpu`: onnxruntime may use it; `locked`: the packages of the
    run's lock, which may have several of one library: they stay."""
    before, after = freeze_of(to_record(was)), freeze_of(to_record(now))
    found = []
    for family in FAMILIES:
        present = members(family, after)
        fresh = [name for name in present if name not in before or before[name] != after[name]]
        held = members(family, locked)
        if len(present) > 1 and fresh and len(held) < 2:
            wanted = _best(family, members(family, before), present, gpu=gpu)
            lines = [requirement.line for requirement in required if requirement.package in family]
            if members(family, before):
                lines = [line for line in lines if not why_unmet(line, was)]
            of_lock = [before[name] for name in held if name in before]
            candidates = of_lock or _candidates(wanted, family, before, after, lines)
            found.append(SideBySide([after[name] for name in present], candidates))
    return found


def _best(family: Sequence[str], before: Sequence[str], present: Sequence[str], *, gpu: bool) -> str:
    """contrib has all that the plain one has; whether there is a screen does not change by a script."""
    if family is ONNXRUNTIME:
        chosen = before[0] if before else present[-1]
        return "onnxruntime-gpu" if gpu and "onnxruntime-gpu" in present else chosen
    contrib = "-contrib" if any("contrib" in name for name in [*before, *present]) else ""
    headless = "-headless" if any("headless" in name for name in before or present) else ""
    return "opencv%s-python%s" % (contrib, headless)


def _candidates(
    name: str, family: Sequence[str], before: Freeze, after: Freeze, lines: Sequence[str]
) -> List[Installed]:
    """In the version that was there before, else in one of those that are there, if all that need it take that."""
    known = [freeze[other] for freeze in (before, after) for other in (name, *family) if other in freeze]
    versions = dict.fromkeys(found.version for found in known)
    bounds = [bounds_of(line) for line in lines]
    fitting = [each for each in versions if all(not b or satisfies(each, b) is not False for b in bounds)]
    exact = {found.version: found for found in reversed(known) if canonical(found.package) == name}
    return [
        *(exact.get(version) or Installed(name, version) for version in fitting),
        *(before[other] for other in family if other in before and other != name),
    ]
