"""The packages of a played run: the plan, the install, a build, the packs' scripts, and the lock."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from app.protocol.events import (
    BuildChanged,
    NodeChanged,
    PackagesPlanned,
    PackagesProgress,
    PhaseChanged,
    RequirementsChanged,
    ScriptChanged,
)
from app.protocol.log_names import RUN_LOG, node_log
from app.protocol.snapshot import PlannedChange, Problem
from app.protocol.states import BuildState, NodeState, Phase, StepStatus
from test.support.stage.casting import GPU, PYTHON, UI_HOME, Cast, named
from test.support.stage.packs import Played
from test.support.stage.story import Story

_ADDED = (
    *("accelerate 1.15.0", "albumentations 2.0.8", "av 15.1.0", "blend-modes 2.2.0", "color-matcher 0.6.0"),
    *("diffusers 0.35.1", "einops 0.8.1", "ftfy 6.3.1", "gguf 0.17.1", "gitpython 3.1.45", "imageio-ffmpeg 0.6.0"),
    *("insightface 0.7.3", "kornia 0.8.1", "matplotlib 3.10.6", "mediapipe 0.10.21", "onnxruntime 1.23.0"),
    *("opencv-python-headless 4.12.0.88", "peft 0.17.1", "piexif 1.1.3", "pillow-heif 1.1.0", "py-cpuinfo 9.0.0"),
    *("pynvml 12.0.0", "rembg 2.0.67", "sageattention 1.0.6", "scikit-image 0.25.2", "segment-anything 1.0"),
    *("sentencepiece 0.2.1", "simpleeval 1.0.3", "spandrel 0.4.1", "timm 1.0.20", "toml 0.10.2", "trimesh 4.8.1"),
    *("ultralytics 8.3.203", "yapf 0.43.0", "zhipuai 2.1.5"),
)
_CHANGED = (
    PlannedChange("huggingface-hub", "0.34.4", "0.35.3", "change", bytes=564_281, stage="agrees"),
    PlannedChange("numpy", "2.3.3", "1.26.4", "change", downgrade=True, bytes=18_048_117, stage="agrees"),
    PlannedChange("protobuf", "6.32.1", "4.25.8", "change", downgrade=True, bytes=294_745, stage="agrees"),
    PlannedChange("transformers", "4.55.0", "4.56.2", "change", bytes=11_600_000, stage="agrees"),
)
_BUILT = "sageattention"


def gone(members: Cast) -> frozenset[str]:
    """The packs that have failed or were skipped before the import check."""
    early = {name for name, failure in members.failures.items() if failure.at != "import"}
    return frozenset(early | {name for name, fate in members.fates.items() if fate == "skipped"})


def _changes(members: Cast) -> tuple[PlannedChange, ...]:
    dice = random.Random("plan")
    wanting = [pack.name for pack in members.packs if pack.has_requirements] or ["nobody"]
    added = [tuple(each.split(" ")) for each in _ADDED]
    new = [
        PlannedChange(
            package,
            None,
            version,
            "add",
            wanted_by=(dice.choice(wanting),),
            bytes=round(20_000 * (2000 ** dice.random())),
            stage="agrees",
            needs_build=package == _BUILT,
            build="sdist" if package == _BUILT else None,
        )
        for package, version in added
    ]
    return (*(replace(each, wanted_by=(dice.choice(wanting),)) for each in _CHANGED), *new)


def install(story: Story, members: Cast, dice: random.Random, *, build_seconds: float = 0.0) -> None:
    """The packages of all packs and their scripts, from the end of the clones on."""
    waiting = _waiting(members)
    story.say(PhaseChanged(Phase.RESOLVE, StepStatus.RUNNING))
    for pack in waiting:
        story.say(NodeChanged(pack.name, NodeState.INSTALLING), after=0.02)
        if pack.has_requirements:
            story.say(RequirementsChanged(pack.name, StepStatus.RUNNING))
    changes = _changes(members)
    story.say(PackagesPlanned(changes), PhaseChanged(Phase.RESOLVE, StepStatus.SUCCESS), after=4.0)
    story.mark("resolved")
    story.say(PhaseChanged(Phase.INSTALL, StepStatus.RUNNING))
    builders = tuple(pack.name for pack in waiting if pack.has_requirements)[:1]
    if build_seconds:
        _build(story, builders, build_seconds)
    story.mark("installing", story.now + 1.0)
    _packages(story, changes, dice)
    for pack in waiting:
        _requirements(story, members, pack)
    story.say(PhaseChanged(Phase.INSTALL, StepStatus.SUCCESS), after=0.1)
    _scripts(story, members, waiting)
    story.mark("installed")


def _waiting(members: Cast) -> list[Played]:
    away = {name for name, failure in members.failures.items() if failure.at == "clone"}
    away |= {name for name, fate in members.fates.items() if fate == "skipped"}
    return [pack for pack in members.packs if pack.name not in away and (pack.has_requirements or pack.has_script)]


def _build(story: Story, packs: tuple[str, ...], seconds: float) -> None:
    log = node_log(packs[0]) if packs else RUN_LOG
    story.say(BuildChanged(_BUILT, "1.0.6", BuildState.WAITING, packs), after=0.1)
    story.say(BuildChanged(_BUILT, "1.0.6", BuildState.RUNNING, packs, "building a wheel"), after=0.2)
    story.mark("building", story.now + 1.0)
    story.log(story.now, log, f"Building {_BUILT}==1.0.6\n")
    steps = max(2, int(seconds // 5))
    for number in range(1, steps):
        detail = f"[{number}/{steps}] nvcc csrc/qattn/kernel_{number:02d}.cu"
        story.say(
            BuildChanged(_BUILT, "1.0.6", BuildState.RUNNING, packs, detail, round(number * seconds / steps, 1)),
            after=seconds / steps,
        )
        story.log(story.now, log, f"{detail} -o build/temp/kernel_{number:02d}.o --threads 4 -O3\n")
    story.say(BuildChanged(_BUILT, "1.0.6", BuildState.DONE, packs, "", seconds), after=seconds / steps)


def _packages(story: Story, changes: tuple[PlannedChange, ...], dice: random.Random) -> None:
    total = sum(change.bytes or 0 for change in changes)
    done = 0
    for number, change in enumerate(changes, 1):
        done += change.bytes or 0
        story.say(PackagesProgress(number, len(changes), done, total), after=dice.uniform(0.1, 0.7))
        story.log(story.now, RUN_LOG, f"installed {change.package} {change.new}\n")


def _requirements(story: Story, members: Cast, pack: Played) -> None:
    failure = members.failures.get(pack.name)
    if failure is not None and failure.at == "packages":
        problem = named(failure.problem, pack)
        story.log(story.now, node_log(pack.name), failure.log.replace("PACK", pack.name))
        story.say(RequirementsChanged(pack.name, StepStatus.FAILED, problem))
        story.say(NodeChanged(pack.name, NodeState.FAILED, problem), after=0.01)
        return
    if pack.has_requirements:
        story.say(RequirementsChanged(pack.name, StepStatus.SUCCESS), after=0.01)
    if not pack.has_script:
        story.say(NodeChanged(pack.name, NodeState.INSTALLED), after=0.01)


def _scripts(story: Story, members: Cast, waiting: list[Played]) -> None:
    failed = {name for name, failure in members.failures.items() if failure.at == "packages"}
    scripted = [pack for pack in waiting if pack.has_script and pack.name not in failed]
    if not scripted:
        story.say(PhaseChanged(Phase.SCRIPTS, StepStatus.SKIPPED, "no pack has one"))
        return
    story.say(PhaseChanged(Phase.SCRIPTS, StepStatus.RUNNING))
    for pack in scripted:
        failure = members.failures.get(pack.name)
        story.say(ScriptChanged(pack.name, StepStatus.RUNNING), after=0.1)
        story.log(story.now, node_log(pack.name), "running install.py\n")
        if failure is not None and failure.at == "script":
            problem = named(failure.problem, pack)
            story.log(story.now + 0.5, node_log(pack.name), failure.log)
            story.say(ScriptChanged(pack.name, StepStatus.FAILED, problem), after=1.5)
            story.say(NodeChanged(pack.name, NodeState.FAILED, problem))
        else:
            story.say(ScriptChanged(pack.name, StepStatus.SUCCESS), after=1.5)
            story.say(NodeChanged(pack.name, NodeState.INSTALLED), after=0.01)
    story.say(PhaseChanged(Phase.SCRIPTS, StepStatus.SUCCESS))


def plan_only(story: Story, members: Cast) -> None:
    """The end of a run that only plans."""
    planned = Problem("plan_only", "Only the plan was asked for.")
    story.say(PhaseChanged(Phase.RESOLVE, StepStatus.RUNNING))
    story.say(PackagesPlanned(_changes(members)), PhaseChanged(Phase.RESOLVE, StepStatus.SUCCESS), after=4.0)
    for phase in (Phase.INSTALL, Phase.SCRIPTS, Phase.VERIFY):
        story.say(PhaseChanged(phase, StepStatus.SKIPPED, "planned only"))
    for pack in members.packs:
        failure = members.failures.get(pack.name)
        if failure is not None and failure.at != "clone":
            story.say(NodeChanged(pack.name, NodeState.FAILED, named(failure.problem, pack)), after=0.01)
        elif pack.name not in gone(members):
            story.say(NodeChanged(pack.name, NodeState.SKIPPED, planned), after=0.01)
    story.say(PhaseChanged(Phase.FINISH, StepStatus.SUCCESS))


def lock(members: Cast) -> dict[str, Any]:
    """What was installed."""
    away = gone(members) | set(members.failures)
    rows = [
        {
            "name": pack.name,
            "repo_url": pack.pack.repo_url,
            "folder": pack.pack.folder,
            "requirements_file": pack.pack.requirements_file,
            "commit": pack.commit,
        }
        for pack in members.packs
        if pack.name not in away
    ]
    packages = {change.package: change.new for change in _changes(members)}
    return {
        "format": 1,
        "ui_home": UI_HOME,
        "comfyui_commit": "9f1ab7c2" * 5,
        "interpreter": PYTHON,
        "python": "3.12.3",
        "torch": {"version": "2.9.1+cu128", "cuda": "12.8"},
        "gpu": [GPU],
        "driver": "570.86.15",
        "system": "Ubuntu 22.04.5 LTS",
        "machine": "x86_64",
        "node_packs": rows,
        "packages": dict(sorted(packages.items())),
    }
