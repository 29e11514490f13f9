"""Scenarios: whole runs, made from how many packs end how. The same arguments give the same events."""

from __future__ import annotations

import random
from typing import Any

from app.protocol.events import (
    LockMade,
    ManifestRead,
    NodeChanged,
    PhaseChanged,
    Probed,
    QuestionAnswered,
    QuestionAsked,
    RepairChanged,
    RunEnded,
    RunStarted,
    StepChanged,
    Warned,
)
from app.protocol.log_names import RUN_LOG, node_log
from app.protocol.repairs import Repair
from app.protocol.snapshot import Answer, AskedQuestion, Problem
from app.protocol.states import AnswerSource, NodeState, Phase, StepStatus, TaskState
from app.protocol.task_list import CONFIGURE_VENV, RESTART
from test.support.stage import installing
from test.support.stage.casting import GPU, PYTHON, UI_HOME, Cast, cast, named
from test.support.stage.cloning import clone_all
from test.support.stage.packs import Played, played
from test.support.stage.reasons import PROBLEMS, QUICK_ENDS, ROLLED_BACK
from test.support.stage.story import Scenario, Story

_GB = 10**9


def scenario(
    packs: int = 34,
    *,
    end: str = "completed",
    verify: bool = True,
    question: bool = False,
    build_seconds: float = 0.0,
    plan_only: bool = False,
    seed: int = 0,
    of: tuple[Played, ...] = (),
    repair: Repair | None = None,
    **fates: int,
) -> Scenario:
    """An install. `fates`: how many packs end how (`failed`, `problem`, `skipped`, `unchecked`), and how many of the
    others are `kept`; `end`: how the run ends: `completed`, `cancelled` in the middle of the clones, or a reason
    (`disk_full` after some packs, `ui_home_not_found` at once); `question`: it asks one before it clones;
    `build_seconds`: one package is built for so long; `of`: the packs, instead of the first of the list; `repair`: what
    the second round found. Marks: `probed`, `manifest`, `question`, `cloning`, `half`, `cloned`, `resolved`,
    `building`, `installing`, `installed`, `verifying`, `end`."""
    story, members = Story(), cast(packs, seed=seed, of=of, **fates)
    dice = random.Random(f"{seed} {packs}")
    listed = tuple(pack.pack for pack in members.packs)
    options: dict[str, Any] = {"verify": verify, "plan_only": plan_only}
    _begin(story, verify=verify and not plan_only)
    if end == "ui_home_not_found":
        return _finished(story, listed, end, options)
    _probe(story, members)
    if question:
        _ask(story, members)
    clone_all(story, members, dice, stop_at=1.0 if end == "completed" else 0.4, plan_only=plan_only)
    if end != "completed":
        return _finished(story, listed, end, options)
    if plan_only:
        installing.plan_only(story, members)
        return _finished(story, listed, end, options)
    installing.install(story, members, dice, build_seconds=build_seconds)
    _verify(story, members, dice, asked=verify)
    if repair is not None:
        story.say(RepairChanged(repair), after=0.5)
    story.say(LockMade(installing.lock(members)), after=0.6)
    story.say(PhaseChanged(Phase.FINISH, StepStatus.SUCCESS))
    return _finished(story, listed, end, options)


def rollback(packs: int = 34, *, kept: int = 0, stuck: int = 0, of: tuple[Played, ...] = ()) -> Scenario:
    """A run that puts an install back: each pack is removed, but for those that were there before (`kept`); `stuck` are
    not. The task of a rollback with `stuck` packs ends as failed."""
    story, members = Story(), of or played(packs)
    _begin(story, verify=False)
    story.say(ManifestRead("rollback", tuple(pack.pack for pack in members)), after=0.3)
    story.say(PhaseChanged(Phase.PROBE, StepStatus.SUCCESS), PhaseChanged(Phase.CLONE, StepStatus.RUNNING))
    for number, pack in enumerate(members):
        if number < kept:
            story.say(NodeChanged(pack.name, NodeState.CLONED, commit=pack.commit, kept=True), after=0.05)
            story.say(NodeChanged(pack.name, NodeState.INSTALLED))
        elif number < kept + stuck:
            text = "The pack was changed after the run. It was left untouched."
            story.say(NodeChanged(pack.name, NodeState.FAILED, Problem("cannot_roll_back", text)), after=0.05)
        else:
            story.say(NodeChanged(pack.name, NodeState.SKIPPED, ROLLED_BACK), after=0.05)
    story.say(PhaseChanged(Phase.CLONE, StepStatus.FAILED if stuck else StepStatus.SUCCESS))
    for phase in (Phase.RESOLVE, Phase.INSTALL, Phase.SCRIPTS, Phase.VERIFY):
        story.say(PhaseChanged(phase, StepStatus.SKIPPED), after=0.2)
    error = Problem("rollback_incomplete", f"Not everything could be put back: {stuck} packs.") if stuck else None
    if not stuck:
        story.say(PhaseChanged(Phase.FINISH, StepStatus.SUCCESS))
    story.say(RunEnded(TaskState.FAILED if stuck else TaskState.COMPLETED, error), after=0.2)
    return Scenario(tuple(pack.pack for pack in members), story.ended(), story.marks, "rollback")


def restart(*, expected: int = 34, missing: tuple[str, ...] = (), done: bool = True) -> Scenario:
    """A run that only restarts ComfyUI. `missing`: packs that it has not loaded; without `done` none was restarted."""
    story, text = Story(), f"No ComfyUI runs in {UI_HOME}. It loads the packs when you start it."
    _begin(story, verify=False)
    story.say(PhaseChanged(Phase.PROBE, StepStatus.SUCCESS, UI_HOME), after=0.4)
    for phase in (Phase.CLONE, Phase.RESOLVE, Phase.INSTALL, Phase.SCRIPTS):
        story.say(PhaseChanged(phase, StepStatus.SKIPPED, "restart only"))
    story.say(PhaseChanged(Phase.VERIFY, StepStatus.RUNNING), StepChanged(RESTART, StepStatus.RUNNING))
    story.mark("restarting")
    if not done:
        story.say(StepChanged(RESTART, StepStatus.FAILED, text, 0.1), Warned("not_restarted", text), after=0.1)
        story.say(RunEnded(TaskState.FAILED, Problem("not_restarted", text)), after=0.1)
        return Scenario((), story.ended(), story.marks, "restart")
    story.say(StepChanged(RESTART, StepStatus.SUCCESS, "by supervisorctl restart comfyui, in 21 s", 21.4), after=21.4)
    if missing:
        words = f"The restarted ComfyUI has not loaded these packs: {', '.join(missing)}."
        story.say(Warned("not_loaded", words, "Look at ComfyUI's log, and at the command that starts it."))
    detail = f"{expected - len(missing)} of {expected} packs are loaded"
    story.say(PhaseChanged(Phase.VERIFY, StepStatus.FAILED if missing else StepStatus.SUCCESS, detail))
    story.say(PhaseChanged(Phase.FINISH, StepStatus.SUCCESS), RunEnded(TaskState.COMPLETED), after=0.1)
    return Scenario((), story.ended(), story.marks, "restart")


def _begin(story: Story, *, verify: bool) -> None:
    story.say(RunStarted("TASK", "0.1.0", 4711, verify), PhaseChanged(Phase.PROBE, StepStatus.RUNNING))
    story.log(0.0, RUN_LOG, "the run begins\n")


def _probe(story: Story, members: Cast) -> None:
    story.say(StepChanged(CONFIGURE_VENV, StepStatus.RUNNING), after=0.1)
    machine = {"disk_free_bytes": 80 * _GB, "disk_total_bytes": 128 * _GB, "comfyui_running": True, "processors": 16}
    facts = {**machine, "comfyui_port": 8188, "comfyui_commit": "9f1ab7c2" * 5, "system": "Ubuntu 22.04.5 LTS"}
    story.say(Probed(UI_HOME, {**facts, "gpu": [GPU], "driver": "570.86.15"}), after=0.4)
    story.mark("probed")
    story.say(ManifestRead("nodes", tuple(pack.pack for pack in members.packs)), after=0.2)
    story.mark("manifest")
    story.say(PhaseChanged(Phase.PROBE, StepStatus.SUCCESS, f"{UI_HOME}, packs in {UI_HOME}/custom_nodes"), after=0.1)
    detail = f"{PYTHON}, Python 3.12.3, torch 2.9.1+cu128"
    story.say(StepChanged(CONFIGURE_VENV, StepStatus.SUCCESS, detail, 0.9), after=0.4)
    torch = {"version": "2.9.1+cu128", "cuda": "12.8", "cuda_available": True}
    story.say(Probed(UI_HOME, {"interpreter": PYTHON, "python": "3.12.3", "torch": torch}))


def _ask(story: Story, members: Cast) -> None:
    names = [pack.name for pack in members.packs[2:4]]
    text = f"2 node packs were installed by ComfyUI-Manager from ComfyUI's registry: {', '.join(names)}. "
    hint = "They work as they are. What is replaced is kept in custom_nodes/.disabled, and a rollback puts it back."
    answers = (Answer("keep", "Leave as it is"), Answer("replace", "Replace by the repository"))
    asked = AskedQuestion(
        *("1", "replace_registry_copies", text + "Replace by a clone of the repository?", answers, "keep", 3600.0),
        hint=hint,
        facts={"packs": names},
    )
    story.say(QuestionAsked(asked), after=0.2)
    story.mark("question")
    story.say(QuestionAnswered("1", "keep", AnswerSource.USER), after=0.2)


def _verify(story: Story, members: Cast, dice: random.Random, *, asked: bool) -> None:
    if not asked:
        story.say(PhaseChanged(Phase.VERIFY, StepStatus.SKIPPED, "not asked for"))
        return
    story.say(PhaseChanged(Phase.VERIFY, StepStatus.RUNNING), after=0.2)
    story.mark("verifying")
    story.now += 6.0
    for pack in members.packs:
        if pack.name in installing.gone(members) or "/" in pack.pack.folder:
            continue
        failure, seconds = members.failures.get(pack.name), round(dice.expovariate(1.2), 2)
        if failure is not None:
            story.log(story.now, node_log(pack.name), f"\nComfyUI cannot load it:\n{failure.log}")
            problem = named(failure.problem, pack)
            story.say(NodeChanged(pack.name, NodeState.FAILED, problem, verified=False, import_seconds=seconds))
        elif members.fate(pack) == "problem":
            problem = PROBLEMS[len(pack.name) % len(PROBLEMS)]
            story.say(NodeChanged(pack.name, NodeState.INSTALLED, problem))
            story.say(NodeChanged(pack.name, NodeState.VERIFIED, verified=True, import_seconds=seconds))
        elif members.fate(pack) != "unchecked":
            story.say(NodeChanged(pack.name, NodeState.VERIFIED, verified=True, import_seconds=seconds))
    story.say(PhaseChanged(Phase.VERIFY, StepStatus.SUCCESS, "imported"), after=0.1)


def _finished(story: Story, listed: tuple[Any, ...], end: str, options: dict[str, Any]) -> Scenario:
    if end == "completed":
        story.say(RunEnded(TaskState.COMPLETED), after=0.1)
    elif end == "cancelled":
        story.say(RunEnded(TaskState.CANCELLED), after=0.1)
    else:
        story.say(RunEnded(TaskState.FAILED, QUICK_ENDS[end]), after=0.1)
    story.log(story.now, RUN_LOG, "the run has ended\n")
    return Scenario(listed, story.ended(), story.marks, "install", options)
