"""The whole way on a real ComfyUI: `python -m bench.real_comfyui --comfyui CHECKOUT --environment VENV --packs FOLDER
--manager CHECKOUT`.

A workflow of five real packs is dropped, installed over a real sshd, ComfyUI is restarted, and the verdict (ready, or
what is missing) is held against what this ComfyUI does with the workflow; once with all packs, once with one that its
git server does not have. Then ComfyUI-Manager's own snapshot of a machine is restored on a fresh one, and its snapshot
of that is compared with the first. Nothing is fetched but Python packages. Exits with 1 when something is not as said.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from app.standin.git_rules import MISSING, SERVED
from app.standin.git_server import GitServer
from bench.real_comfyui import snapshot, workflow
from bench.real_comfyui.machine import RealMachine, real_machine
from test.support.service import ServiceProcess

_LEFT_OUT = "kijai/ComfyUI-KJNodes"
PARTS = ("ready", "missing", "snapshot")


def main(argv: Sequence[str] | None = None) -> int:
    """0 when everything is as said."""
    asked = _arguments().parse_args(argv)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nf-real-", dir=asked.scratch)))
        git = stack.enter_context(GitServer(asked.packs))
        machines = functools.partial(
            real_machine,
            comfyui=asked.comfyui,
            environment=asked.environment,
            git_url=git.url,
            environ={**os.environ, "UV_CACHE_DIR": str(folder / "uv-cache")},
        )
        good = True
        map_url = stack.enter_context(_files(asked.manager))
        settings: dict[str, Any] = {
            "node_map_url": map_url,
            "stats_url": f"{map_url}github-stats.json",
            "registry_url": "",
        }
        for part in asked.part or PARTS:
            if part == "snapshot":
                good &= _restored(snapshot.round_trip(folder, machines, asked.packs))
                continue
            git.set_rule(_LEFT_OUT, MISSING if part == "missing" else SERVED)
            with ServiceProcess(folder / part, **settings) as service, machines(folder / f"machine-{part}") as machine:
                good &= _proven(part, service, machine)
    return 0 if good else 1


def _proven(part: str, service: ServiceProcess, machine: RealMachine) -> bool:
    """Installs the workflow's packs; whether the verdict is what ComfyUI then does."""
    machine.start_comfyui()
    ended = workflow.install(service, machine)
    [proof], said = ended["run"]["proof"]["results"], workflow.run_it(machine)
    steps = {step["name"]: step["status"] for step in ended["workflow"]["steps"]}
    _say(part, seconds=ended["seconds"], asked=ended["asked"], steps=steps)
    _say(part, verdict=proof["verdict"], sentence=proof["sentence"], findings=proof["findings"], comfyui=said)
    is_ready, is_run = proof["verdict"] == "ready", said == "success"
    return is_ready is is_run is (part == "ready") and proof["verdict"] in ("ready", "not_ready")


def _restored(found: dict[str, Any]) -> bool:
    _say("snapshot", first=found["first"])
    _say("snapshot", ended=found["ended"], left_out=found["left_out"])
    _say("snapshot", warnings=found["warnings"])
    _say("snapshot", differs=found["differs"])
    return not any(found["differs"].values())


def _say(part: str, **facts: Any) -> None:
    print(f"{part}: " + ", ".join(f"{name} {json.dumps(fact)}" for name, fact in facts.items()), flush=True)


@contextmanager
def _files(folder: Path) -> Iterator[str]:
    """The folder's files over HTTP on loopback, for the block; their address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.real_comfyui", description=__doc__)
    add = parser.add_argument
    add("--comfyui", type=Path, required=True, help="a git checkout of ComfyUI")
    add("--environment", type=Path, required=True, help="a virtual environment in which it starts, with pip")
    add("--packs", type=Path, required=True, help="the packs' bare repositories, as OWNER/NAME.git")
    add("--manager", type=Path, required=True, help="a checkout of ComfyUI-Manager: its map of classes")
    add("--scratch", type=Path, help="where the machines are made; best the environment's file system")
    add("--part", choices=PARTS, action="append", help="only this (may be given more than once)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
