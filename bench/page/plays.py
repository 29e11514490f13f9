"""One run of a scenario with its page open: what the page cost, and how late its rows were."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from app.protocol.events import NodeChanged, decode
from bench.page.browser import Gauge, Used, fresh
from bench.page.reader import Reader
from bench.page.release import Release
from bench.page.wire import Wire
from test.support.stage import Run, Scenario, Stage, scenario

_ALONE_SECONDS = 0.8
"""How long nothing of a pack may have happened before an event of it counts: what changes then is this event's."""


@dataclass(slots=True)
class Played:
    """The figures of one run. `late`: milliseconds from an event to its row, `bare`: to a bare reader of the stream."""

    used: Used
    seconds: float
    bytes: int
    shifts: list[dict[str, Any]] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def shift(self) -> float:
        """All layout shifts of the whole run."""
        return float(sum(each["value"] for each in self.shifts))

    def worst(self, most: int = 5) -> list[dict[str, Any]]:
        """The largest shifts, and what moved."""
        found = sorted(self.shifts, key=lambda each: -each["value"])[:most]
        return [{"value": round(each["value"], 4), "at": round(each["at"]), "from": each["from"][:4]} for each in found]


def played(packs: int) -> Scenario:
    """What both pages show: some packs fail, some have a problem, one package is built."""
    return scenario(packs, failed=packs // 11, problem=max(1, packs // 30), build_seconds=20.0)


def play(browser: Browser, release: Release, packs: int, *, speed: float, reduced: bool, late: bool) -> Played:
    """A whole run, `speed` times as fast as in life. `late`: looks at how late rows are, which costs the page a bit."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nf-page-")))
        stage = stack.enter_context(Stage(folder, tree=release.tree, runner_sha256=release.runner_sha256))
        told = played(packs)
        task_id = stage.live(told)
        wire = stack.enter_context(Wire(int(stage.url.rpartition(":")[2].strip("/"))))
        page = stack.enter_context(fresh(browser, reduced=reduced)).new_page()
        reader = Reader(stage.url, task_id) if late else None
        page.goto(f"{wire.url}{release.path}{task_id}")
        page.wait_for_timeout(1500)
        if late:
            page.evaluate("() => window.__watchRows()")
        run = stage.run(task_id)
        run.play_on(speed)
        return _watched(run, page, wire, reader, told.seconds / speed)


def _watched(run: Run, page: Page, wire: Wire, reader: Reader | None, seconds: float) -> Played:
    """To the run's end, and a little longer: the page shows the end then."""
    gauge = Gauge(page)
    before, carried = gauge.read(), wire.total
    while not run.ended:
        page.wait_for_timeout(250)
    page.wait_for_timeout(2500)
    found = Played(
        gauge.read().since(before), seconds, wire.total - carried, page.evaluate("() => window.__seen.shifts")
    )
    if reader is not None:
        reader.stop()
        found.late, found.bare = _lateness(run, reader, page.evaluate("() => window.__seen.rows"))
    return found


def _lateness(run: Run, reader: Reader, rows: list[list[Any]]) -> tuple[list[float], list[float]]:
    """Of each event of a pack of which nothing else had happened shortly before."""
    changes: dict[str, list[float]] = {}
    for name, at in rows:
        changes.setdefault(name, []).append(at / 1000)
    late, bare, last = [], [], dict[str, float]()
    for number, (_end, line) in enumerate(run.lines, 1):
        body, at = decode(line).body, run.emitted[number]
        name = getattr(body, "name", None)
        if name is None:
            continue
        alone, last[name] = at - last.get(name, 0.0) > _ALONE_SECONDS, at
        arrived = reader.arrived.get((name, body.state.value)) if isinstance(body, NodeChanged) else None
        shown = next((each for each in changes.get(name, []) if each >= at), None)
        if alone and arrived is not None and shown is not None and shown - at < 5 and 0 <= arrived - at < 5:
            late.append(1000 * (shown - at))
            bare.append(1000 * (arrived - at))
    return late, bare
