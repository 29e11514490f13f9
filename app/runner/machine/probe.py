"""Probe: what the machine has. Finds only; changes nothing but one file that it writes
and removes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional

from app.protocol.probe_answer import MAX_HOMES
from app.runner.machine.comfyui_processes import running_in
from app.runner.machine.git import find_git
from app.runner.machine.homes import find_home, found_homes
from app.runner.machine.interpreter import find_interpreter
from app.runner.machine.listening import comfyui_port
from app.runner.machine.provisioning import provisioning_marks
from app.runner.process.errors import RunFault
from app.runner.process.execute import Execute, execute

_GPU_SECONDS = 15.0
_MOST_VERSION = 4096
_VERSION = re.compile(r"""^__version__\s*=\s*["']([0-9][0-9A-Za-z.+-]{0,40})["']""", re.MULTILINE)


def make_custom_nodes(folder: Path, task_id: str) -> Path:
    """custom_nodes, made if missing and shown to be writable by writing. Raises RunFault."""
    probe = folder / (".nodeferry-%s.probe" % task_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 65536)
        probe.unlink()
    except OSError as exc:
        hint = "Check that the disk has free space and that the SSH login may write to %s." % folder
        raise RunFault(
            "not_writable", "ComfyUI's custom_nodes folder cannot be written: %s." % exc.strerror, hint
        ) from None
    return folder


def machine(ui_home: Path, run: Execute = execute) -> Dict[str, Any]:
    """Facts of the machine for the record: sizes in bytes, None where unknown."""
    usage = shutil.disk_usage(str(ui_home))
    return {
        "ui_home": str(ui_home),
        "disk_free_bytes": usage.free,
        "disk_total_bytes": usage.total,
        "comfyui_commit": _comfyui_commit(ui_home),
        "comfyui_running": bool(running_in(ui_home)),
        "processors": os.cpu_count(),
        "max_processes": max_processes(),
        "system": " ".join(os.uname()[:3:2]),
        **gpu(run),
    }


def gpu(run: Execute) -> Dict[str, Any]:
    """The GPUs and their driver, from nvidia-smi; None where there is none."""
    argv = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        said = run(argv, _GPU_SECONDS)
    except OSError:
        said = ""
    rows = [row.split(", ") for row in said.splitlines() if row.count(", ") == 2]
    if not rows:
        return {"gpu": None, "driver": None}
    return {"gpu": [{"name": row[0], "memory_mib": row[1]} for row in rows], "driver": rows[0][2]}


def max_processes() -> Optional[int]:
    """The container's limit of processes; None for no limit."""
    for path in ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"):
        try:
            text = Path(path).read_text("ascii").strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None


def _comfyui_commit(ui_home: Path) -> Optional[str]:
    """HEAD of ComfyUI itself, read from its files."""
    git = ui_home / ".git"
    try:
        head = (git / "HEAD").read_text("ascii").strip()
        if not head.startswith("ref: "):
            return head
        return (git / head[5:]).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def comfyui_version(ui_home: Path) -> Optional[str]:
    """ComfyUI's version, as its own file has it; None for one that is older than that file."""
    try:
        with open(str(ui_home / "comfyui_version.py"), encoding="utf-8", errors="replace") as file:
            found = _VERSION.search(file.read(_MOST_VERSION))
    except OSError:
        return None
    return found.group(1) if found else None


def probe_now(ui_home: Optional[str], venv_path: Optional[str]) -> Dict[str, Any]:
    """The answer of the `probe` command. That there is no git or no interpreter is a warning: packs that need no
    packages can be installed all the same."""
    try:
        chosen = find_home(ui_home)
        home, layout = chosen.ui_home, chosen.layout
        found = machine(home)
    except RunFault as fault:
        homes = found_homes()[:MAX_HOMES] if fault.problem.code == "ui_home_ambiguous" else []
        return {"error": fault.problem.to_json(), "ui_homes": homes}
    homes = found_homes()[:MAX_HOMES]
    found.update(comfyui_version=comfyui_version(home), ui_homes=homes if len(homes) > 1 else [])
    found = {**found, "comfyui_port": comfyui_port(home, layout.base), "provisioning": provisioning_marks()}
    found.update(dict.fromkeys(("git", "interpreter", "python", "torch", "torch_error")))
    warnings: List[str] = [*filter(None, [layout.in_words()]), *chosen.hidden()]
    try:
        found["git"] = find_git()
    except RunFault as fault:
        warnings.append(str(fault))
    try:
        python = find_interpreter(home, venv_path, base=layout.base)
    except RunFault as fault:
        return {**found, "warnings": [*warnings, str(fault)]}
    if python.torch_error:
        warnings.append("ComfyUI's Python cannot import torch: %s" % python.torch_error)
    if python.externally_managed:
        warnings.append("ComfyUI's Python belongs to the operating system: packages cannot be installed into it.")
    about = {"interpreter": python.describe(), "python": python.version, "torch_error": python.torch_error}
    return {**found, **about, "torch": python.torch.to_json() if python.torch else None, "warnings": warnings}
