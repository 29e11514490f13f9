"""`make bench-page`: the run's page against its promises, and against the page of release 7f86b61.

Prints a table and writes all figures as JSON (`--out`). Loopback only; some 15 minutes with the default arguments.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from bench.page import browser as chrome
from bench.page import limits, release
from bench.page.limits import Row, at_most, percentile, share
from bench.page.plays import Played, play
from bench.page.release import Release
from test.support.stage import Stage
from test.support.stage.states import show

SPEED = {34: 2.0, 200: 4.0}
_PAINTS = 5


def main() -> int:
    """0 when every promise holds."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("--packs", type=int, nargs="*", default=[34, 200], help="none: only what needs no run")
    parser.add_argument("--speed", type=float, help="seconds of the run a second (default: 2, with 200 packs 4)")
    parser.add_argument("--old", choices=["play", "none"], default="play", help="whether the old page is played too")
    parser.add_argument("--out", type=Path, help="a JSON file for all figures")
    given = parser.parse_args()
    rows: list[Row] = []
    details: dict[str, Any] = {}
    with ExitStack() as stack:
        browser = stack.enter_context(chrome.chromium())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nf-page-")))
        before = stack.enter_context(release.old(folder)) if given.old == "play" else None
        for packs in given.packs:
            speed = given.speed or SPEED.get(packs, 4.0)
            rows += _of_runs(browser, before, packs, speed, details)
            _keep(given.out, rows, details)
        rows += _of_pages(browser, details)
    print(limits.table(rows))
    _keep(given.out, rows, details)
    return 0 if all(row.holds for row in rows) else 1


def _keep(file: Path | None, rows: list[Row], details: dict[str, Any]) -> None:
    """What was found so far: a run that ends early has told it."""
    if file:
        figures = {"rows": [row.to_json() for row in rows], "details": details}
        file.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _of_runs(browser: Browser, before: Release | None, packs: int, speed: float, details: dict[str, Any]) -> list[Row]:
    """The same run on both pages, one after the other; with reduced motion too, where lateness is measured."""
    rows: list[Row] = []
    for reduced in (False, True):
        old = play(browser, before, packs, speed=speed, reduced=reduced, late=False) if before else None
        now = play(browser, release.current(), packs, speed=speed, reduced=reduced, late=reduced)
        name = f"{packs} packs{', reduced motion' if reduced else ''}"
        details[name] = {"now": _details(now), "old": _details(old) if old else None}
        rows.append(at_most(f"layout shift, {name}", now.shift, limits.SHIFT, old.shift if old else None))
        if not reduced:
            part = limits.CPU_SHARE.get(packs, 1 / 4)
            rows.append(share(f"main thread s, {name}", now.used.task, old.used.task if old else None, part))
            rows.append(
                share(
                    f"kB on the wire, {name}", now.bytes / 1000, old.bytes / 1000 if old else None, limits.BYTES_SHARE
                )
            )
        else:
            most = limits.LATE_FACTOR * percentile(now.bare, 0.95) + limits.LATE_MS
            rows.append(
                at_most(
                    f"event to row p95 ms, {packs} packs ({len(now.late)})", percentile(now.late, 0.95), round(most)
                )
            )
    return rows


def _of_pages(browser: Browser, details: dict[str, Any]) -> list[Row]:
    """What needs no run: paints, requests, places of rows, widths."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="nf-page-") as folder, Stage(Path(folder)) as stage:
        shown = {state: show(stage, state, 34) for state in ("cloning", "partial")}
        addresses = {state: f"{stage.url}{release.current().path}{run_id}" for state, run_id in shown.items()}
        rows += _of_paints(browser, stage.url, addresses)
        for state, address in addresses.items():
            asked = chrome.requests_of_a_load(browser, address)
            details[f"requests, {state}"] = [each.removeprefix(stage.url) for each in asked]
            rows.append(at_most(f"requests, {state}", len(asked), limits.REQUESTS))
            wide = chrome.places(browser, address, chrome.DESKTOP)
            rows.append(at_most(f"first row y at 1440x900, {state}", wide["first"], limits.FIRST_ROW))
            least = limits.ROWS_IN_VIEW
            rows.append(Row(f"rows in view, {state}", wide["whole"], None, f">= {least}", wide["whole"] >= least))
            phone = chrome.places(browser, address, chrome.PHONE)
            rows.append(at_most(f"first row y at 390x844, {state}", phone["first"], chrome.PHONE["height"] - 36))
            sideways = chrome.overflows(browser, address)
            rows.append(
                Row(f"widths that scroll sideways, {state}", str(sideways or "none"), None, "none", not sideways)
            )
    return rows


def _of_paints(browser: Browser, url: str, addresses: Mapping[str, str]) -> list[Row]:
    """Each page in turn, so that whatever else the machine does affects all."""
    shown = {"bare": f"{url}/health", **addresses, "start": url, "runs": f"{url}/ui/runs"}
    found: dict[str, list[float]] = {name: [] for name in shown}
    for _ in range(_PAINTS):
        for name, address in shown.items():
            found[name].append(chrome.first_paint(browser, address))
    bare = limits.median(found.pop("bare"))
    most = round(limits.PAINT_FACTOR * bare)
    return [
        at_most(f"first paint ms, {name} (bare {bare:.0f})", limits.median(each), most) for name, each in found.items()
    ]


def _details(found: Played) -> dict[str, Any]:
    late = {"p50": percentile(found.late, 0.5), "p95": percentile(found.late, 0.95)} if found.late else None
    bare = {"p50": percentile(found.bare, 0.5), "p95": percentile(found.bare, 0.95)} if found.bare else None
    return {
        "used": found.used.to_json(),
        "seconds": round(found.seconds, 1),
        "bytes": found.bytes,
        "shift": round(found.shift, 4),
        "worst_shifts": found.worst(),
        "late_ms": late,
        "bare_ms": bare,
    }


if __name__ == "__main__":
    raise SystemExit(main())
