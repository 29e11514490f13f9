"""A uv that is ended, stopped or out of room in the middle of a change: the real one, watched by another program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Fault = Literal["kill", "stop", "no_room"]

_PROGRAM = '''#!{python}
"""Runs the real uv. Where that changes the environment, what the plan beside this file says happens to it."""
import json, os, resource, signal, subprocess, sys, time

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "plan.json")) as file:
    plan = json.load(file)
argv = [plan["uv"], *sys.argv[1:]]
changes = "install" in argv and "--dry-run" not in argv and "--target" not in argv
if not changes or not plan["times"]:
    os.execv(plan["uv"], argv)
plan["times"] -= 1
with open(os.path.join(here, "plan.json"), "w") as file:
    json.dump(plan, file)
if plan["fault"] == "no_room":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (plan["bytes"], plan["bytes"]))
    os.environ["UV_LINK_MODE"] = "copy"
    os.execv(plan["uv"], argv)
child = subprocess.Popen(argv)
while child.poll() is None and all(map(os.path.lexists, plan["watched"])):
    pass
if child.poll() is not None:
    sys.exit(child.returncode)
if plan["fault"] == "stop":
    child.send_signal(signal.SIGSTOP)
    open(os.path.join(here, "stopped"), "w").close()
    sys.exit(child.wait())
until = time.monotonic() + plan["delay"]
while time.monotonic() < until:
    pass
child.send_signal(signal.SIGKILL)
child.wait()
os.kill(os.getpid(), signal.SIGKILL)
'''


class FaultyUv:
    """A program named uv in `folder`, to be found on PATH before the real one."""

    def __init__(self, folder: Path, uv: Path, python: str) -> None:
        folder.mkdir()
        self.folder = folder
        self._uv = uv
        self.program = folder / "uv"
        self.program.write_text(_PROGRAM.format(python=python))
        self.program.chmod(0o755)
        self.plan("kill", times=0)

    def plan(
        self, fault: Fault, *, watched: Sequence[Path] = (), times: int = 1, delay: float = 0.0, size: int = 0
    ) -> None:
        """What happens to the next `times` uvs that change an environment. `kill` and `stop`: as soon as one of the
        `watched` files is gone, and `delay` seconds later; `no_room`: no file may be longer than `size` bytes."""
        plan = {
            "uv": str(self._uv),
            "fault": fault,
            "watched": [str(path) for path in watched],
            "times": times,
            "delay": delay,
            "bytes": size,
        }
        (self.folder / "plan.json").write_text(json.dumps(plan))

    @property
    def stopped(self) -> bool:
        """Whether a uv stands still in the middle of its work."""
        return (self.folder / "stopped").exists()
