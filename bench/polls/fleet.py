"""Installs that go on beside the polls: played machines, each with an event a second, in phases by chance."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from test.support.stage import Stage, scenario

TREE = Path(__file__).parent / "served"
TOKEN = "bench-token-of-at-least-thirty-two-characters-1"
"""Who polls has one, as behind a proxy."""
EVENTS_A_SECOND = 1.0
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """A service with running installs. `pid`: of its process."""

    stage: Stage
    tasks: list[str]
    host: str

    @property
    def pid(self) -> int:
        """The service's process."""
        return self.stage.service.pid

    def revisions(self) -> int:
        """Of all tasks together: how many events there were."""
        return sum(int(self.stage.service.progress(task_id)["revision"]) for task_id in self.tasks)


@contextmanager
def running(folder: Path, installs: int, *, packs: int = 34, seed: int = 1) -> Iterator[Fleet]:
    """So many installs, in the middle of their clones."""
    chance = random.Random(f"{seed} {installs}")
    with Stage(folder, tree=TREE, token=TOKEN, max_running=str(max(8, installs))) as stage:
        stage.service.authorize(TOKEN)
        stories = [scenario(packs, seed=number) for number in range(min(installs, 5))]
        cast = [stories[number % len(stories)] for number in range(installs)]
        tasks = [stage.start(story, machine=stage.machine()) for story in cast]
        for story, task_id in zip(cast, tasks, strict=True):
            run = stage.machine_of(task_id).started(task_id, START_SECONDS)
            begin, end = story.until("cloning"), story.until("cloned")
            moments = sum(begin <= moment.at <= end and moment.body is not None for moment in story.moments)
            run.play(begin + chance.uniform(0.05, 0.3) * (end - begin))
            run.play_on(EVENTS_A_SECOND * (end - begin) / moments)
        for task_id in tasks:
            stage.seen(task_id, START_SECONDS)
        yield Fleet(stage, tasks, stage.url.removeprefix("http://").strip("/"))
