"""Three ways to bring the same packs onto an instance, each timed from the outside."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.standin.instance import StandIn
from bench.engine.footprint import Footprint, watch
from bench.engine.journal import RunTimes
from bench.engine.packs import Made, manifest_of
from test.support.service import ServiceProcess

TIMEOUT_SECONDS = 1800.0
_NEVER = "torch ; sys_platform == 'never'\ntorchvision ; sys_platform == 'never'\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds from the command on. `first_lane`: until every pack that agrees with the environment is installed;
    `everything`: until nothing is left to install; `verify`: what the check of imports took after that."""

    everything: float
    first_lane: float
    verify: float = 0.0
    phases: tuple[tuple[str, float, float], ...] = ()
    cpu_percent: float = 0.0
    peak_bytes: int = 0
    troubles: tuple[str, ...] = ()


def nodeferry(standin: StandIn, packs: Sequence[Made], service: ServiceProcess, *, verify: bool) -> Measured:
    """Through the API of a running service."""
    began = time.time()
    task_id = service.install(standin, manifest=manifest_of(packs), options={"verify": verify})
    journal = standin.home / ".local/state/nodeferry" / task_id / "journal.ndjson"
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch, journal, ended)
        try:
            last = _ended(service, task_id)
        finally:
            ended.set()
    return _measured(RunTimes(journal, began), packs, watching.result(), last["nodes"])


def _ended(service: ServiceProcess, task_id: str) -> dict[str, Any]:
    """The last progress, waited for by answers that are held: polling would take of what is measured."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        shown: dict[str, Any] = service.get(f"/tasks/{task_id}", wait=60)["progress"]
        if not shown["in_progress"]:
            return shown
    raise AssertionError(f"{task_id} has not ended within {TIMEOUT_SECONDS:g} s")


def _measured(times: RunTimes, packs: Sequence[Made], took: Footprint, rows: Sequence[dict[str, object]]) -> Measured:
    everything = times.settled()
    first_lane = times.installed([made.name for made in packs if made.wanted.lane == 1])
    return Measured(
        everything=everything,
        first_lane=everything if first_lane is None else first_lane,
        verify=max(0.0, times.ended - everything),
        phases=tuple(times.phases()),
        cpu_percent=100 * took.cpu_seconds / times.ended,
        peak_bytes=took.peak_bytes,
        troubles=tuple(f"{row['name']}: {row['error']}" for row in rows if row["error"]),
    )


def sequential(standin: StandIn, packs: Sequence[Made]) -> Measured:
    """As provisioning scripts do: clone, `pip install -r`, one pack after the other."""
    folder = shlex.quote(str(standin.custom_nodes))
    pip = f"{shlex.quote(str(standin.python))} -m pip install --no-input -q"
    lines = [f"cd {folder}"]
    for made in packs:
        lines.append(f"git clone -q --recursive {made.pack.url} {made.name}")
        lines.append(f"if [ -e {made.name}/requirements.txt ]; then {pip} -r {made.name}/requirements.txt; fi")
    seconds, troubles = _over_ssh(standin, "\n".join(lines))
    return Measured(everything=seconds, first_lane=seconds, troubles=troubles)


def floor(standin: StandIn, packs: Sequence[Made], uv: Path, *, hide_torch: bool) -> Measured:
    """What cannot be undercut by much: all clones at once, then one resolution and install of what can be had together.

    `hide_torch`: uv does not see the torch family of a system-site-packages environment and would fetch another."""
    overrides = standin.root / "overrides.txt"
    overrides.write_text(_NEVER if hide_torch else "", "utf-8")
    folder, python = shlex.quote(str(standin.custom_nodes)), shlex.quote(str(standin.python))
    files = " ".join(
        f"-r {m.name}/requirements.txt" for m in packs if m.wanted.requirements and not m.wanted.conflicting
    )
    lines = ["set -e", f"cd {folder}"]
    lines += [f"git clone -q --depth 1 {made.pack.url} {made.name} &" for made in packs]
    lines += ["wait", f"{uv} pip install -q --python {python} --override {shlex.quote(str(overrides))} {files}"]
    seconds, troubles = _over_ssh(standin, "\n".join(lines))
    return Measured(everything=seconds, first_lane=seconds, troubles=troubles)


def _over_ssh(standin: StandIn, script: str) -> tuple[float, tuple[str, ...]]:
    """Runs a script on the instance; its seconds, and what it complained about."""
    argv = ["ssh", "-p", str(standin.port), "-i", str(standin.client_key), "-o", "StrictHostKeyChecking=no"]
    argv += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", f"{standin.user}@{standin.host}", "sh", "-s"]
    began = time.monotonic()
    done = subprocess.run(argv, input=script, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    seconds = time.monotonic() - began
    said = [line for line in done.stderr.splitlines() if line.lower().startswith(("error", "fatal"))]
    status = [f"status {done.returncode}: {done.stderr[-500:]}"] if done.returncode else []
    return seconds, tuple(said + status)
