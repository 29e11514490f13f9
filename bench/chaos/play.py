"""One run with one fault, and what was wrong with it."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chaos import judge
from bench.chaos.faults import KINDS, Kind, Scene
from bench.chaos.stage import Stage
from bench.chaos.watch import Watch
from test.support.service import essence

RUN_SECONDS = 180.0
"""A run that has not ended by then is wrong. Generous: others may be at work on the machine."""
SPARE_THREADS = 2
SPARE_FILES = 16
"""What a service may have more than after its first run: connections of its pools that have come since."""


@dataclass(frozen=True, slots=True)
class Played:
    """How a run went. `moment`: when its fault came, as a share of an undisturbed run; `end`: equal, failed (as this
    fault may, and good after a retry) or wrong; `threads`, `files`: of the service, afterwards."""

    number: int
    kind: str
    moment: float
    notes: str = ""
    struck: bool = False
    end: str = "equal"
    interrupted: bool = False
    restarts: int = 0
    retried: bool = False
    seconds: float = 0.0
    wrong: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    threads: int = 0
    files: int = 0
    service_pid: int = 0

    def to_json(self) -> dict[str, Any]:
        """As a line of the results."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Reference:
    """An undisturbed run: its end, its seconds, and the service's threads and open files after it."""

    essence: dict[str, Any]
    seconds: float
    size: tuple[int, int]


def undisturbed(stage: Stage) -> Reference:
    """A run without a fault. Raises AssertionError when it is not as it must be."""
    began = time.monotonic()
    task_id, watch = _begin(stage)
    assert watch.ended(began + RUN_SECONDS), watch.wrong
    seconds = time.monotonic() - began
    found = essence(watch.last)
    wrong = [*watch.wrong, *judge.on_instance(stage, watch.last, found, strict=True)]
    wrong += judge.left_on_instance(stage, task_id) + judge.record_faults(stage, watch.last)
    wrong += judge.durations_faults(watch.last, seconds)
    assert not wrong, wrong
    assert (found["successful"], found["failed"]) == (4, 1), watch.last
    stage.clear(task_id)
    return Reference(found, seconds, judge.service_size(stage.service.pid))


def play(stage: Stage, number: int, seed: int, reference: Reference, evidence: Path) -> Played:
    """Run `number`: its fault comes at a random moment of `reference`'s seconds. `evidence`: the folder for what a
    wrong run leaves to be looked at."""
    dice = random.Random(f"{seed}:{number}")
    kind, moment = KINDS[number % len(KINDS)], dice.random()
    began = time.monotonic()
    kind.prepare(stage, dice)
    _, watch = _begin(stage)
    scene = Scene(stage, watch, dice)
    watch.over(moment * reference.seconds)
    try:
        with kind.strike(scene):
            watch.ended(began + RUN_SECONDS)
    except AssertionError as exc:
        watch.wrong.append(f"could not be played: {exc}")
        watch.ended(time.monotonic() + 5)
    played = Played(number, kind.name, moment, ", ".join(scene.notes), scene.struck, restarts=scene.restarts)
    judged = _judged(played, kind, scene, reference, began)
    if judged.end == "wrong":
        _keep_evidence(stage, watch, evidence / f"run{number}")
    return judged


def _keep_evidence(stage: Stage, watch: Watch, folder: Path) -> None:
    """The journal and logs of the run, its last progress, the service's log."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if stage.state_of(watch.task_id).is_dir():
        shutil.copytree(stage.state_of(watch.task_id), folder / "task")
    (folder / "progress.json").write_text(json.dumps(watch.last, indent=1), "utf-8")
    (folder / "service.log").write_text(stage.service.log, "utf-8")


def _judged(played: Played, kind: Kind, scene: Scene, reference: Reference, began: float) -> Played:
    stage, watch = scene.stage, scene.watch
    seconds = time.monotonic() - began
    wrong, tasks, end = list(watch.wrong), [watch.task_id], "wrong"
    if watch.last:
        end, faults = judge.end_of(watch.last, reference.essence, kind.ends)
        wrong += faults
        wrong += judge.on_instance(stage, watch.last, reference.essence, strict=end == "equal")
        wrong += judge.durations_faults(watch.last, seconds)
    left = judge.left_on_instance(stage, watch.task_id)
    if watch.last:
        wrong += judge.record_faults(stage, watch.last)
    if end == "failed" and not wrong:
        again, faults = _retried(stage, watch.last, reference)
        tasks.append(again)
        wrong += faults
        left += judge.left_on_instance(stage, again)
    left += _grown(stage, reference)
    threads, files = judge.service_size(stage.service.pid)
    if not wrong and not left:
        stage.clear(*tasks)
    return dataclasses.replace(
        played,
        end="wrong" if wrong or left else end,
        interrupted=watch.interrupted,
        retried=len(tasks) > 1,
        seconds=round(seconds, 2),
        wrong=tuple(wrong),
        left=tuple(left),
        threads=threads,
        files=files,
        service_pid=stage.service.pid,
    )


def _retried(stage: Stage, first: dict[str, Any], reference: Reference) -> tuple[str, list[str]]:
    """What did not end well is repeated without a fault: the task, and what is wrong with it."""
    answer = stage.service.post(f"/tasks/{first['task_id']}/retry", {})
    if answer.status_code != 202:
        return "", [f"the retry was answered {answer.status_code}: {answer.text[:200]}"]
    again = str(answer.json()["task_id"])
    watch = Watch(stage.service, again)
    watch.start()
    watch.ended(time.monotonic() + RUN_SECONDS)
    wrong = [*watch.wrong]
    if watch.last:
        wrong += judge.merged(first, watch.last, reference.essence)
        both = {**watch.last, "nodes": [*first["nodes"], *watch.last["nodes"]]}
        wrong += judge.on_instance(stage, both, reference.essence, strict=True)
        wrong += judge.record_faults(stage, watch.last)
    return again, [f"after a retry: {text}" for text in wrong]


def _begin(stage: Stage) -> tuple[str, Watch]:
    task_id = stage.service.install(stage.standin, manifest=stage.manifest)
    watch = Watch(stage.service, task_id)
    watch.start()
    return task_id, watch


def _grown(stage: Stage, reference: Reference) -> list[str]:
    """Threads and open files that the service has more than after its first run, once it has had time to end them."""
    allowed = reference.size[0] + SPARE_THREADS, reference.size[1] + SPARE_FILES
    deadline = time.monotonic() + judge.GONE_SECONDS
    pause = judge.pauses()
    while True:
        threads, files = judge.service_size(stage.service.pid)
        if threads <= allowed[0] and files <= allowed[1]:
            return []
        if time.monotonic() > deadline:
            return [f"the service has {threads} threads and {files} open files, {reference.size} at its beginning"]
        next(pause)
