"""Readers of patches, as docs/api.md tells them to be written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from app.domain.retry import RetryLinks, retry_json
from app.protocol import progress_json
from app.sync.installs.patches import LISTS, Patches
from app.sync.installs.progress_cache import InstallStatus
from test.support.random_journals import snapshots

Json = dict[str, Any]


def applied(progress: Json, answer: Json) -> Json:
    """The progress after an answer that is whole or a patch."""
    fields = {name: value for name, value in answer.items() if name not in {"since", "line", "patch"}}
    if "patch" not in answer:
        return fields
    assert progress["revision"] == answer["since"]
    patch = dict(answer["patch"])
    after = {**progress, **fields, **patch.pop("set")}
    for name, rows in patch.items():
        after[name] = [{**row, **rows.get(row[LISTS[name]], {})} for row in progress[name]]
    return after


class Reader:
    """Somebody who polls. `answers`: all that came, as JSON."""

    def __init__(self) -> None:
        self.progress: Json | None = None
        self.line: str | None = None
        self.answers: list[Json] = []

    def take(self, answer: Json) -> None:
        """As it comes over the wire."""
        got = json.loads(json.dumps(answer))
        self.answers.append(got)
        self.line = got.get("line", self.line)
        self.progress = applied(self.progress or {}, got)


class _Moment:
    """When somebody asks, and what stands beside the snapshot then."""

    def __init__(self, random: Random, wall: float) -> None:
        self._wall = wall
        self._links = RetryLinks(retried_by=random.choice([None, "2"]), limit=random.choice([0, 1]))
        self._place = random.choice([None, {"position": random.randint(1, 3), "behind": None}])

    def render(self, known: InstallStatus) -> Json:
        """The whole progress."""
        retry = retry_json(self._links, known.snapshot, 30.0)
        return progress_json.progress(
            known.snapshot, self._wall, heard_at=known.heard_at, queue=self._place, retry=retry
        )


def play(random: Random, count: int, readers: int = 3) -> Iterator[tuple[Reader, Json]]:
    """A random run with readers that poll at random: after each poll the reader, and the whole progress then."""
    made, group = Patches(), [Reader() for _ in range(readers)]
    wall = 1000.0
    for snapshot in snapshots(random, count):
        status = InstallStatus(snapshot, heard_at=random.choice([None, wall]))
        for reader in random.sample(group, random.randint(0, readers)):
            wall += random.choice([0.0, 0.3, 70.0])
            moment = _Moment(random, wall)
            whole = moment.render(status)
            since = None if reader.progress is None else reader.progress["revision"]
            if random.random() < 0.1:
                made.note(status)
                reader.take(whole)
            else:
                reader.take(made.answer(whole, since, random.choice([None, reader.line]), moment.render))
            yield reader, whole
