"""Who is on stage: the packs of a scenario, and how each of them ends."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field, replace

from app.protocol.snapshot import Problem
from test.support.stage.packs import Played, played
from test.support.stage.reasons import FAILURES, Failure

UI_HOME = "/workspace/ComfyUI"
PYTHON = f"{UI_HOME}/venv/bin/python"
GPU = {"name": "NVIDIA GeForce RTX 4090", "memory_mib": "24564 MiB"}


@dataclass(frozen=True, slots=True)
class Cast:
    """The packs and how each ends: `ready`, `failed`, `problem`, `skipped` or `unchecked`. `kept`: those that were
    there already; `failures`: why those fail that do."""

    packs: tuple[Played, ...]
    fates: dict[str, str]
    kept: frozenset[str] = frozenset()
    failures: dict[str, Failure] = field(default_factory=dict)

    def fate(self, pack: Played) -> str:
        """How it ends, in a word."""
        return self.fates.get(pack.name, "ready")


def cast(
    packs: int = 34,
    *,
    failed: int = 0,
    problem: int = 0,
    skipped: int = 0,
    unchecked: int = 0,
    kept: int = 0,
    seed: int = 0,
    of: tuple[Played, ...] = (),
) -> Cast:
    """Deals the fates to the first packs of the list, or to the packs `of`; not to packs around or in others, unless
    all fail."""
    chosen, dice = of or played(packs), random.Random(f"cast {seed}")
    single = [pack.name for pack in chosen if "/" not in pack.pack.folder and not _has_nested(pack, chosen)]
    dice.shuffle(single)
    wanted = (("failed", failed), ("problem", problem), ("skipped", skipped), ("unchecked", unchecked))
    words = [word for word, count in wanted for _ in range(count)]
    fates = dict(zip(single, words, strict=False))
    left = [name for name in single if name not in fates]
    ways = itertools.cycle(FAILURES[dice.randrange(len(FAILURES)) if seed else 0 :] + FAILURES)
    if failed >= len(chosen):
        fates = dict.fromkeys((pack.name for pack in chosen), "failed")
    failures = {pack.name: _suited(pack, ways) for pack in chosen if fates.get(pack.name) == "failed"}
    return Cast(chosen, fates, frozenset(left[:kept]), failures)


def named(problem: Problem, pack: Played) -> Problem:
    """The problem with the pack's own name in it."""
    return replace(problem, message=problem.message.replace("PACK", pack.name))


def _suited(pack: Played, ways: itertools.cycle[Failure]) -> Failure:
    """The next way to fail that this pack can take."""
    lacking = {"packages"} - ({"packages"} if pack.has_requirements else set())
    lacking |= set() if pack.has_script else {"script"}
    lacking |= {"import"} if "/" in pack.pack.folder else set()
    return next(way for way in ways if way.at not in lacking)


def _has_nested(pack: Played, packs: tuple[Played, ...]) -> bool:
    return any(other.pack.folder.startswith(pack.pack.folder + "/") for other in packs)
