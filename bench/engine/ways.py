"""Three ways to bring the same packs onto equal fresh instances, each timed from the outside, from the command on.

a **Nodeferry**: through the API of a running service, as users do; connecting, uploading the runner, planning, notes
  for the rollback and (unless left out) the check of imports are in it. The check is told apart: it begins when all is
  installed; what is prepared for it before is in the time.
b **One after another**: what provisioning scripts do: `git clone --recursive`, `pip install -r`, install.py, the next;
  whatever fails is passed over. What pip then breaks of earlier packs it does not tell: not always what works.
c **The floor**: 16 clones at once, then one `uv pip install` of all files that can be had together. It knows
  beforehand which pack to leave out, holds nothing but what the system has, plans and tells nothing, and one failure
  would end it.

b and c get their commands in one SSH session. All three have git, uv, pip and the registry's settings of equal
stand-ins, and caches of their own. pip compiles byte code when it installs, uv does not: that is part of each way.
Afterwards the bench compares what a and c installed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.standin.instance import StandIn
from bench.engine.footprint import Footprint, watch
from bench.engine.journal import RunTimes
from bench.engine.packs import Made, manifest_of
from bench.engine.results import Measured, Span
from bench.engine.script import Played, play
from test.support.service import ServiceProcess

_CLONES_AT_ONCE = 16
LETTERS = {"a": "nodeferry", "b": "sequential", "c": "floor"}
_FREEZE = """
import json
from importlib import metadata
found = {}
for each in metadata.distributions():
    found.setdefault(each.metadata["Name"].lower().replace("_", "-").replace(".", "-"), each.version)
print(json.dumps(found))
"""


def nodeferry(
    standin: StandIn, packs: Sequence[Made], service: ServiceProcess, *, verify: bool, timeout: float
) -> Measured:
    """Through the API of a running service."""
    began = time.time()
    task_id = service.install(standin, manifest=manifest_of(packs), options={"verify": verify})
    journal = standin.home / ".local/state/nodeferry" / task_id / "journal.ndjson"
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch, journal, ended)
        try:
            last = _ended(service, task_id, timeout)
        finally:
            ended.set()
    return _measured(RunTimes(journal, began), packs, watching.result(), last["nodes"])


def _ended(service: ServiceProcess, task_id: str, timeout: float) -> dict[str, Any]:
    """The last progress, waited for by answers that are held: polling would take of what is measured."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        shown: dict[str, Any] = service.get(f"/tasks/{task_id}", wait=min(60, int(left) + 1))["progress"]
        if not shown["in_progress"]:
            return shown
    raise TimeoutError(f"{task_id} has not ended within {timeout:g} s")


def _measured(times: RunTimes, packs: Sequence[Made], took: Footprint, rows: Sequence[dict[str, object]]) -> Measured:
    everything = times.all_installed()
    first_lane = times.installed([made.name for made in packs if made.wanted.stage == 1])
    troubles = [f"{row['name']}: {row['error']}" for row in rows if row["error"]]
    if first_lane is None:
        troubles.append("a pack of the first lane was not installed: its time is that of all")
    return Measured(
        everything=everything,
        first_lane=everything if first_lane is None else first_lane,
        verify=max(0.0, times.ended - everything),
        packages_seconds=times.packages_installed(),
        scripts_seconds=max(0.0, everything - times.packages_installed()),
        packs_at=times.packs_at({str(row["name"]) for row in rows if not row["error"]}),
        spans=tuple(times.spans()),
        cpu_seconds=took.cpu_seconds,
        runner_seconds=times.ended - times.started,
        peak_bytes=took.peak_bytes,
        troubles=tuple(troubles),
    )


def sequential(standin: StandIn, packs: Sequence[Made], *, timeout: float) -> Measured:
    """As provisioning scripts do: clone, `pip install -r`, install.py, one pack after the other."""
    pip = f"{shlex.quote(str(standin.python))} -m pip install --no-input -q"
    lines = [f"cd {shlex.quote(str(standin.custom_nodes))}"]
    for made in packs:
        lines += ["good=yes", "echo @clones", f"git clone -q --recursive {made.pack.url} {made.name} || good=no"]
        if made.wanted.requirements is not None:
            lines += ["echo @install", f"{pip} -r {made.name}/requirements.txt || good=no"]
        if made.wanted.install_py is not None:
            script = f"cd {made.name} && {shlex.quote(str(standin.python))} install.py > /dev/null 2>&1"
            lines += ["echo @scripts", f"({script}) || good=no"]
        lines.append("echo @pack $good")
    played = play(standin, lines, timeout)
    marks = [(when, line[1:]) for when, line in played.lines if line.startswith("@")]
    ends = [when for when, _ in marks[1:]] + [played.seconds]
    spans = [(what, when, end) for (when, what), end in zip(marks, ends, strict=False) if not what.startswith("pack")]
    scripts = sum(end - begin for what, begin, end in spans if what == "scripts")
    packs_at = tuple(when for when, what in marks if what == "pack yes")
    return replace(
        _by_script(played, spans, packs_at), scripts_seconds=scripts, packages_seconds=played.seconds - scripts
    )


def floor(
    standin: StandIn,
    packs: Sequence[Made],
    uv: Path,
    *,
    hidden: Collection[str] = (),
    builds: bool = True,
    timeout: float,
) -> Measured:
    """What cannot be undercut by much: 16 clones at once, then one resolution and install of what can be had together.

    `hidden`: packages of the system that stay, which uv does not see in an environment on top of it and would fetch
    once more. `builds`: with the packs whose build takes minutes."""
    left_out = [made for made in packs if made.wanted.impossible or (made.wanted.slow_build and not builds)]
    together = [made for made in packs if made.wanted.requirements and made not in left_out]
    files = " ".join(f"-r {made.name}/requirements.txt" for made in together)
    lines = [
        line
        for made in packs
        if made.wanted.impossible
        for line in made.wanted.requirements or ()
        if line not in made.wanted.impossible
    ]
    install = f"{shlex.quote(str(uv))} pip install --color never --python {shlex.quote(str(standin.python))} {files}"
    install += "".join(f" {shlex.quote(line)}" for line in lines)
    if hidden:
        overrides = standin.root / "overrides.txt"
        overrides.write_text("".join(f"{name} ; sys_platform == 'never'\n" for name in sorted(hidden)), "utf-8")
        install += f" --override {shlex.quote(str(overrides))}"
    script = ["set -e", f"cd {shlex.quote(str(standin.custom_nodes))}"]
    clones = "\n".join(f"{made.pack.url} {made.name}" for made in packs)
    script += [
        f"xargs -P {_CLONES_AT_ONCE} -n 2 git clone -q --depth 1 <<'END'",
        clones,
        "END",
        "echo @cloned",
        install,
    ]
    played = play(standin, script, timeout)
    packs_at = (played.seconds,) * (len(packs) - len(left_out) if played.status == 0 else 0)
    return replace(_by_script(played, _floor_spans(played), packs_at), packages_seconds=played.seconds)


def stays(packages: Mapping[str, str], packs: Sequence[Made]) -> list[str]:
    """Of what the system has, what no pack wants changed."""
    named = {line for made in packs if made.wanted.stage != 1 for line in made.wanted.requirements or ()}
    changed = {line.split("=")[0].split("<")[0] for line in named if "=" in line or "<" in line}
    return [name for name in packages if name not in changed]


def seen_by(standin: StandIn) -> dict[str, str]:
    """The packages that ComfyUI's interpreter sees: names and versions."""
    done = subprocess.run([str(standin.python), "-c", _FREEZE], capture_output=True, check=True, timeout=60)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def with_load(run: Measured, load: float, packages: Mapping[str, str]) -> Measured:
    """The measurement with what was looked at around it."""
    return replace(run, load=round(load, 2), packages=packages)


def load_now() -> float:
    """The machine's load average over a minute."""
    return os.getloadavg()[0]


def _by_script(played: Played, spans: Sequence[Span], packs_at: tuple[float, ...]) -> Measured:
    seconds = played.seconds
    return Measured(seconds, seconds, spans=tuple(spans), packs_at=packs_at, troubles=played.troubles)


def _floor_spans(played: Played) -> list[Span]:
    """By uv's own lines."""
    cloned = (played.when("@cloned") or [played.seconds])[0]
    resolved = (played.when("Resolved ") or [cloned])[0]
    building, built = played.when("   Building ") or played.when("Building "), played.when("      Built ")
    spans = [("clones", 0.0, cloned), ("resolve", cloned, resolved), ("install", resolved, played.seconds)]
    if building and built:
        spans.append(("builds", building[0], built[-1]))
    return spans
