"""The clones of a played run: several at once, with percent, bytes and rates."""

from __future__ import annotations

import heapq
import random

from app.protocol.event_body import Body
from app.protocol.events import NodeChanged, NodeProgress, PhaseChanged, RequirementsChanged, ScriptChanged
from app.protocol.log_names import node_log
from app.protocol.states import NodeState, Phase, StepStatus
from test.support.stage.casting import Cast, named
from test.support.stage.packs import Played
from test.support.stage.reasons import SKIPPED
from test.support.stage.story import Story

AT_ONCE = 8
_EVERY_SECONDS = 0.25
_LINE_BYTES = 9_000_000.0


def clone_all(
    story: Story, members: Cast, dice: random.Random, *, stop_at: float = 1.0, plan_only: bool = False
) -> None:
    """All clones; with `stop_at` below 1 only until that share of the time. A pack that needs nothing else is installed
    then, unless the run is `plan_only`."""
    story.say(PhaseChanged(Phase.CLONE, StepStatus.RUNNING))
    story.mark("cloning", story.now + 1.2)
    begin, moments = story.now, Story()
    places = [begin] * AT_ONCE
    heapq.heapify(places)
    for pack in members.packs:
        free, speed = heapq.heappop(places), dice.uniform(0.5, 2.2)
        heapq.heappush(places, _clone(moments, members, pack, free, _LINE_BYTES / AT_ONCE * speed))
    end = max(places)
    story.mark("half", (begin + end) / 2)
    last = begin + (end - begin) * stop_at + 0.001
    for moment in moments.ended():
        if moment.at > last:
            continue
        if moment.body is None:
            story.log(moment.at, moment.log, moment.text)
        elif not (plan_only and _is_installed(moment.body)):
            story.at(moment.at, moment.body)
    story.now = round(last, 3)
    if stop_at == 1.0:
        story.say(PhaseChanged(Phase.CLONE, StepStatus.SUCCESS), after=0.1)
        story.mark("cloned")


def _is_installed(body: Body) -> bool:
    return isinstance(body, NodeChanged) and body.state is NodeState.INSTALLED


def _clone(story: Story, members: Cast, pack: Played, at: float, rate: float) -> float:
    """One clone from second `at`, of `rate` bytes a second; when it is over."""
    name, log = pack.name, node_log(pack.name)
    if members.fate(pack) == "skipped":
        story.at(at + 0.01, NodeChanged(name, NodeState.SKIPPED, SKIPPED[len(name) % len(SKIPPED)]))
        return at + 0.02
    if name in members.kept:
        _cloned(story, pack, at + 0.05, kept=True)
        return at + 0.06
    story.at(at, NodeChanged(name, NodeState.CLONING))
    story.log(at, log, f"Cloning into '{name}'...\n")
    end = at + 0.35 + pack.size / rate
    failure = members.failures.get(name)
    fails = failure is not None and failure.at == "clone"
    _progress(story, pack, at, at + (end - at) * 0.6 if fails else end, rate)
    if failure is not None and fails:
        end = at + (end - at) * 0.6
        story.log(end, log, failure.log.replace("PACK", name))
        story.at(end, NodeChanged(name, NodeState.FAILED, named(failure.problem, pack)))
        return end
    story.log(end, log, f"Receiving objects: 100%, {pack.size / 1e6:.1f} MB | {rate / 1e6:.1f} MB/s, done.\n")
    _cloned(story, pack, end, kept=False)
    return end


def _progress(story: Story, pack: Played, begin: float, end: float, rate: float) -> None:
    at = begin + 0.35 + _EVERY_SECONDS / 2
    while at < end:
        received = int((at - begin - 0.35) * rate)
        percent = min(99, int(100 * received / pack.size))
        left = (pack.size - received) / rate
        story.at(at, NodeProgress(pack.name, percent, received, round(rate, 1), round(left, 1)))
        at += _EVERY_SECONDS


def _cloned(story: Story, pack: Played, at: float, *, kept: bool) -> None:
    if pack.has_requirements:
        story.at(at, RequirementsChanged(pack.name, StepStatus.PENDING))
    if pack.has_script:
        story.at(at, ScriptChanged(pack.name, StepStatus.PENDING))
    story.at(at, NodeChanged(pack.name, NodeState.CLONED, commit=pack.commit, kept=kept))
    if not pack.has_requirements and not pack.has_script:
        story.at(at, NodeChanged(pack.name, NodeState.INSTALLED))
