"""ComfyUI-Manager's own snapshot of a machine is restored by Nodeferry on a fresh one; its snapshot of that is compared
with the first."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from app.standin.registry_server import RegistryServer
from bench.real_comfyui.machine import RealMachine
from test.support.service import ServiceProcess

Machines = Callable[..., AbstractContextManager[RealMachine]]
_DRIVER = Path(__file__).with_name("manager_driver.py")
_MANAGER = "https://github.com/ltdrdata/ComfyUI-Manager"
FROM_REGISTRY = ("rgthree/rgthree-comfy", "pythongosssss/ComfyUI-Custom-Scripts")
FROM_GIT = ("https://github.com/kijai/ComfyUI-KJNodes", "https://github.com/crystian/ComfyUI-Crystools")
DISABLED = "ComfyUI-Crystools"
_SECTIONS = ("comfyui", "cnr_custom_nodes", "git_custom_nodes", "file_custom_nodes", "pips")
_SECONDS = 900.0


def round_trip(folder: Path, machines: Machines, packs: Path) -> dict[str, Any]:
    """What differs between the two snapshots, by section, and what Nodeferry said: {differs, ended, warnings, left_out,
    first}. `packs`: OWNER/NAME.git, of which the registry's archives are made."""
    with RegistryServer() as registry:
        for repo in FROM_REGISTRY:
            _publish(registry, packs / f"{repo}.git")
        wanted = {node.node_id: node.versions[0].version for node in registry.nodes.values()}
        with machines(folder / "first") as machine:
            _have_manager(machine)
            first = _snapshot(machine, registry.url, registry_packs=wanted, git=FROM_GIT, disable=(DISABLED,))
        settings: dict[str, Any] = {"node_map_url": "", "registry_url": registry.url}
        with (
            machines(folder / "second", registry=registry.url) as machine,
            ServiceProcess(folder / "service", **settings) as service,
        ):
            manifest = {"manager_snapshot": first}
            checked = service.post("/manifests/check", {"manifest": manifest}).json()
            task_id = service.install(machine.ssh_command, ui_home=str(machine.ui_home), manifest=manifest)
            ended = service.ended(task_id, _SECONDS)
            second = _snapshot(machine, registry.url)
    return {
        "differs": {name: _difference(first[name], second[name]) for name in _SECTIONS},
        "ended": {row["name"]: (row["state"], (row["error"] or {}).get("code")) for row in ended["nodes"]},
        "warnings": [(each["code"], each["message"]) for each in ended["warnings"]],
        "left_out": checked.get("left_out"),
        "first": {name: first[name] for name in _SECTIONS if name != "pips"},
    }


def _difference(first: Any, second: Any) -> Any:
    """Entries that only one has, or that differ; empty where both are equal."""
    if first == second:
        return {}
    if not isinstance(first, dict) or not isinstance(second, dict):
        return [first, second]
    names = sorted(first.keys() | second.keys())
    return {name: [first.get(name), second.get(name)] for name in names if first.get(name) != second.get(name)}


def _publish(registry: RegistryServer, repository: Path) -> None:
    """The repository's newest commit as its author would publish it."""
    git = ["git", "--git-dir", str(repository)]
    project = tomllib.loads(_output(*git, "show", "HEAD:pyproject.toml").decode())["project"]
    archive = _output(*git, "archive", "--format=zip", "HEAD")
    registry.add(project["name"].lower(), project["version"], archive, repository=project["urls"]["Repository"])


def _have_manager(machine: RealMachine) -> None:
    folder = machine.ui_home / "custom_nodes" / "ComfyUI-Manager"
    environ = _environ(machine)
    _output("git", "clone", "-q", _MANAGER, str(folder), environ=environ)
    _output(str(machine.python), "-m", "pip", "install", "-q", "-r", str(folder / "requirements.txt"), environ=environ)


def _snapshot(
    machine: RealMachine,
    registry: str,
    *,
    registry_packs: dict[str, str] | None = None,
    git: tuple[str, ...] = (),
    disable: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Manager's, after it has installed and disabled these."""
    out = machine.root / "snapshot.json"
    asked = json.dumps({"registry": registry_packs or {}, "git": git, "disable": disable})
    _output(str(machine.python), str(_DRIVER), registry, str(out), asked, environ=_environ(machine))
    found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    for pack in found["git_custom_nodes"].values():  # Manager keeps the line's end where a commit is checked out itself
        pack["hash"] = pack["hash"].strip()
    return found


def _environ(machine: RealMachine) -> dict[str, str]:
    return {**os.environ, "HOME": str(machine.root / "home"), "COMFYUI_PATH": str(machine.ui_home)}


def _output(*argv: str, environ: dict[str, str] | None = None) -> bytes:
    """What it prints. Raises RuntimeError with its own words."""
    done = subprocess.run(argv, check=False, env=environ, capture_output=True, timeout=_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {(done.stdout + done.stderr)[-3000:].decode('utf-8', 'replace')}")
    return done.stdout
