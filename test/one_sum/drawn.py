"""Runs by chance, each with what must be counted of it: worked out here from what happens to its packs, and not by the
product."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.protocol.events import NodeChanged, RunEnded
from test.support.stage import Scenario, Stage, restart, rollback, scenario

STANDINGS = ("ready", "problem", "failed", "skipped", "cancelled", "working", "waiting")
Sums = dict[str, int]
Standings = dict[str, str]
_GOOD = ("installed", "verified")


@dataclass
class Drawn:
    """A run that is stored. `tasks`: what must be counted of each of its tasks; `sums`: of the run as a whole."""

    name: str
    run_id: str
    tasks: dict[str, Sums]
    sums: Sums
    children: list[Drawn] = field(default_factory=list)
    """Of a fleet."""


def sums_of(standings: Mapping[str, str]) -> Sums:
    """The counts of packs that stand so."""
    counted = Counter(standings.values())
    return {"total": len(standings), **{word: counted[word] for word in STANDINGS}}


def standings_of(played: Scenario, *, until: float | None = None) -> Standings:
    """How each pack of a task stands at its end; `until`: its runner died after so many seconds."""
    if played.kind == "restart":
        return {}
    told: dict[str, NodeChanged] = {}
    verified: dict[str, bool] = {}
    unwell: set[str] = set()
    end = "failed"
    for moment in played.moments:
        if until is not None and moment.at > until:
            break
        if isinstance(moment.body, RunEnded):
            end = moment.body.state.value
        if isinstance(moment.body, NodeChanged):
            told[moment.body.name] = moment.body
            verified[moment.body.name] = verified.get(moment.body.name, False) or bool(moment.body.verified)
            unwell |= {moment.body.name} if moment.body.error else set()
    asked = played.kind == "install" and bool(played.options["verify"]) and not played.options["plan_only"]
    if not told and end != "completed":
        return {}
    by_folder = {pack.folder: pack.name for pack in played.packs}
    found = {}
    for pack in played.packs:
        state = told[pack.name].state.value if pack.name in told else "pending"
        outer = by_folder.get(pack.folder.partition("/")[0], "") if "/" in pack.folder else pack.name
        loads = not asked or not outer or verified.get(outer, False)
        found[pack.name] = _standing(state, end, loads=loads and pack.name not in unwell)
    return found


def _standing(state: str, end: str, *, loads: bool) -> str:
    if state in _GOOD:
        return "ready" if loads else "problem"
    if state in ("failed", "skipped"):
        return state
    if end == "cancelled":
        return "cancelled"
    return "skipped" if state == "pending" else "failed"


def draw(stage: Stage, seed: int) -> Drawn:
    """Stores the run of this seed. Every kind comes up in turn; its packs and how they end are by chance."""
    name = list(_KINDS)[seed % len(_KINDS)]
    dice = random.Random(f"one sum {seed}")
    return _KINDS[name](_Teller(stage, dice, f"{seed}: {name}", 3600.0 * (40 - seed)))


class _Teller:
    """Tells one run, a task after the other."""

    def __init__(self, stage: Stage, dice: random.Random, name: str, ago: float) -> None:
        self.stage = stage
        self.dice = dice
        self.name = name
        self.ago = ago
        self.tasks: dict[str, Sums] = {}
        self.rows: Standings = {}
        self.first = ""

    def scenario(self, **given: Any) -> Scenario:
        """Packs by chance, of which some end badly."""
        few = self.dice.randrange
        fates = {"failed": few(4), "problem": few(3), "skipped": few(3), "unchecked": few(2), "kept": few(5)}
        return scenario(self.dice.randrange(2, 35), seed=few(1000), **{"verify": few(4) > 0, **fates, **given})

    def task(self, played: Scenario, **how: Any) -> str:
        """A task that has ended."""
        task_id = self.stage.ended(played, ago=self.ago, **how)
        until = played.seconds / 2 if how.get("lost") else None
        standings = standings_of(played, until=until)
        self.tasks[task_id] = sums_of(standings)
        self.rows.update(standings)
        self.first = self.first or task_id
        self.ago -= 900
        return task_id

    def told(self, run_id: str = "") -> Drawn:
        """The whole run."""
        return Drawn(self.name, run_id or self.first, self.tasks, sums_of(self.rows))


def _install(teller: _Teller, **given: Any) -> Drawn:
    teller.task(teller.scenario(**given))
    return teller.told()


def _retried(teller: _Teller, **given: Any) -> Drawn:
    last = teller.task(teller.scenario(**{"failed": 4, **given}))
    for _ in range(teller.dice.randrange(1, 3)):
        failed = teller.stage.failed_of(last)
        if failed:
            again = scenario(of=failed, failed=teller.dice.randrange(len(failed)), seed=3)
            last = teller.task(again, retry_of=last)
    return teller.told()


def _put_back(teller: _Teller, stuck: int = 0) -> Drawn:
    played = teller.scenario()
    first = teller.task(played)
    teller.task(rollback(len(played.packs), stuck=stuck), rollback_of=first)
    return teller.told()


def _restarted(teller: _Teller) -> Drawn:
    first = teller.task(teller.scenario())
    teller.task(restart(expected=teller.tasks[first]["ready"]), restart_of=first)
    return teller.told()


def _lost(teller: _Teller) -> Drawn:
    teller.task(teller.scenario(), lost=True)
    return teller.told()


def _workflow(teller: _Teller) -> Drawn:
    played = teller.scenario()
    run_id = teller.stage.ended_workflow(played, ago=teller.ago)
    standings = standings_of(played)
    return Drawn(teller.name, run_id, {}, sums_of(standings))


def _fleet(teller: _Teller) -> Drawn:
    told = [teller.scenario() for _ in range(3)]
    fleet_id, task_ids = teller.stage.ended_fleet(*told, ago=teller.ago)
    each = [sums_of(standings_of(played)) for played in told]
    together = {word: sum(sums[word] for sums in each) for word in each[0]}
    children = [
        Drawn(f"{teller.name}, {place}", task_id, {task_id: sums}, sums)
        for place, (task_id, sums) in enumerate(zip(task_ids, each, strict=True))
    ]
    return Drawn(teller.name, fleet_id, {}, together, children)


_KINDS: dict[str, Callable[[_Teller], Drawn]] = {
    "install": _install,
    "retried": _retried,
    "put back": _put_back,
    "restarted": _restarted,
    "workflow": _workflow,
    "stopped": lambda teller: _install(teller, end="cancelled"),
    "stopped and retried": lambda teller: _retried(teller, end="cancelled"),
    "disk full": lambda teller: _install(teller, end="disk_full"),
    "planned": lambda teller: _install(teller, plan_only=True),
    "lost": _lost,
    "fleet": _fleet,
    "no ComfyUI": lambda teller: _install(teller, end="ui_home_not_found"),
    "nothing": lambda teller: _install(teller, failed=40, skipped=0, problem=0, unchecked=0, kept=0),
    "put back in part": lambda teller: _put_back(teller, stuck=1),
    "unchecked": lambda teller: _install(teller, verify=False),
}
