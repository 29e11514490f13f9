"""`python -m test.support.stage --state cut`: a service whose page is in this state, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import requests

from test.support.stage import Stage, scenario
from test.support.stage.states import STATES, show


def main() -> int:
    """Prints the address of the page and plays until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m test.support.stage", description=__doc__)
    parser.add_argument("--state", default="running", choices=[*STATES, "history", "empty"])
    parser.add_argument("--packs", type=int, default=34)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    given = parser.parse_args()
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    with tempfile.TemporaryDirectory(prefix="nf-stage-") as folder, Stage(Path(folder), port=given.port) as stage:
        print(_address(stage, given.state, given.packs), flush=True)
        told.wait()
    return 0


def _address(stage: Stage, state: str, packs: int) -> str:
    if state == "empty":
        return stage.url
    if state == "history":
        _fill(stage, packs)
        return f"{stage.url}/ui/runs"
    run_id = show(stage, state, packs)
    address = f"{stage.url}/ui/run/{run_id}"
    return address if requests.get(address, timeout=10).ok else f"{stage.url}/ui/task/{run_id}"


def _fill(stage: Stage, packs: int) -> None:
    """Runs of the last days, of every kind."""
    cancelled, full, planned = {"end": "cancelled"}, {"end": "disk_full"}, {"plan_only": True}
    kinds: list[dict[str, Any]] = [{}, {"failed": 3}, {"problem": 2}, cancelled, full, planned, {"kept": 5}]
    for number, kind in enumerate(kinds):
        for machine in range(3):
            ago = 3600.0 * (0.4 + 11 * number + 3 * machine)
            stage.ended(scenario(max(1, packs - 7 * machine), seed=number + machine, **kind), ago=ago)
    stage.ended_workflow(scenario(packs), ago=7200)
    stage.ended_fleet(scenario(12), scenario(12, failed=1), scenario(12), ago=90_000)
    for state in ("put_back", "retried", "restarted", "running", "cut"):
        show(stage, state, packs)


if __name__ == "__main__":
    raise SystemExit(main())
