"""Where a page's main thread spends its time while a run goes on: `python -m bench.page.hotspots --packs 34`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.page import release
from bench.page.browser import chromium, fresh
from bench.page.plays import played
from test.support.stage import Stage

_CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "v8", "blink.user_timing", "toplevel"]
_MOST = 25
Json = dict[str, Any]


def main() -> None:
    """Prints milliseconds by kind of work, without what is called from it, and the functions that were called most."""
    parser = argparse.ArgumentParser(prog="python -m bench.page.hotspots", description=__doc__)
    parser.add_argument("--packs", type=int, default=34)
    parser.add_argument("--speed", type=float, default=8.0)
    parser.add_argument("--old", action="store_true", help="the page of release 7f86b61")
    parser.add_argument("--reduced", action="store_true", help="with reduced motion")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nf-page-")))
        shown = stack.enter_context(release.old(folder)) if given.old else release.current()
        stage = stack.enter_context(Stage(folder / "stage", tree=shown.tree, runner_sha256=shown.runner_sha256))
        task_id = stage.live(played(given.packs))
        browser = stack.enter_context(chromium())
        page = stack.enter_context(fresh(browser, reduced=given.reduced)).new_page()
        page.goto(f"{stage.url}{shown.path}{task_id}")
        page.wait_for_timeout(1500)
        browser.start_tracing(page=page, categories=_CATEGORIES)
        run = stage.run(task_id)
        run.play_on(given.speed)
        while not run.ended:
            page.wait_for_timeout(250)
        page.wait_for_timeout(1500)
        events: list[Json] = json.loads(browser.stop_tracing())["traceEvents"]
    _print(_main_thread(events))


def _main_thread(events: Iterable[Json]) -> list[Json]:
    """The whole events of the renderer's main thread that did most."""
    listed = list(events)
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in listed if e.get("name") == "thread_name"}
    whole = [e for e in listed if e.get("ph") == "X" and names.get((e["pid"], e["tid"])) == "CrRendererMain"]
    by_process = Counter[int]()
    for event in whole:
        by_process[event["pid"]] += event.get("tdur", 0)
    busiest = by_process.most_common(1)[0][0]
    return sorted((e for e in whole if e["pid"] == busiest), key=lambda e: (e["ts"], -e.get("dur", 0)))


def _print(events: list[Json]) -> None:
    alone, calls, functions = Counter[str](), Counter[str](), Counter[str]()
    open_events: list[tuple[float, str]] = []
    for event in events:
        end, took = event["ts"] + event.get("dur", 0), event.get("tdur", 0) / 1000
        while open_events and open_events[-1][0] <= event["ts"]:
            open_events.pop()
        if open_events:
            alone[open_events[-1][1]] -= took
        alone[event["name"]] += took
        calls[event["name"]] += 1
        open_events.append((end, event["name"]))
        if event["name"] == "FunctionCall":
            data = event["args"].get("data", {})
            functions[f"{data.get('functionName')} :{data.get('lineNumber')}"] += took
    print(f"{sum(alone.values()):8.1f} ms in all")
    for name, took in alone.most_common(_MOST):
        print(f"{took:8.1f} ms {calls[name]:7} x {name}")
    for name, took in functions.most_common(10):
        print(f"{took:8.1f} ms            {name}")


if __name__ == "__main__":
    main()
