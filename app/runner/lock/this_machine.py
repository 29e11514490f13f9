"""The machine that a lock is installed on beside the one that it was made on."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any, List, Mapping, Optional, Tuple

from app.protocol.lockfile import Lock, mismatches
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.environment.environment import Environment

_COMMIT = re.compile(r"^[0-9a-f]{40}\Z")


def torch_of(environment: Environment) -> Tuple[Optional[str], Optional[str]]:
    """torch's version and its CUDA's; None for what is not there."""
    return environment.torch_version, environment.torch.cuda if environment.torch else None


def gpus_of(probe: Mapping[str, Any]) -> Optional[List[str]]:
    """The GPUs' names; None while it is not known whether there are any."""
    return [str(gpu.get("name")) for gpu in probe["gpu"] or ()] if "gpu" in probe else None


def mismatches_here(context: Context, lock: Lock) -> List[str]:
    """What the lock was made with and this machine does not have, a sentence each."""
    python, gpus = context.environment, gpus_of(context.journal.snapshot.probe)
    version, torch, cuda = (python.version, *torch_of(python)) if python else ("", None, None)
    return mismatches(lock, version, torch, cuda, gpus=gpus, machine=os.uname().machine)


def has_same_comfyui(context: Context, lock: Lock) -> bool:
    """Whether ComfyUI is at the lock's commit; False where nobody knows."""
    return bool(lock.comfyui_commit) and lock.comfyui_commit == context.journal.snapshot.probe.get("comfyui_commit")


def of_machine(context: Context, lock: Lock) -> List[Problem]:
    """What is not as where the lock was made, and does no harm: another ComfyUI, GPU or patch of Python."""
    found = []
    probe, python = context.journal.snapshot.probe, context.environment
    commit = probe.get("comfyui_commit")
    if lock.comfyui_commit and not has_same_comfyui(context, lock):
        text = "ComfyUI itself is at %s, the lock has %s. It was left untouched." % (
            "commit %s" % commit if commit else "an unknown commit",
            lock.comfyui_commit,
        )
        found.append(Problem("comfyui_differs", text, _checkout_hint(context.ui_home, lock.comfyui_commit)))
    gpus = gpus_of(probe)
    if lock.gpu and gpus and set(gpus) != set(lock.gpu):
        text = "The GPU is %s; the lock was made with %s." % (", ".join(gpus), ", ".join(lock.gpu))
        found.append(Problem("gpu_differs", text, ""))
    if lock.python and python and _is_other_patch(lock.python, python.version):
        text = "Python is %s; the lock was made with %s." % (python.version, lock.python)
        found.append(Problem("python_differs", text, "Packages are the same for both; nothing needs to be done."))
    return found


def _is_other_patch(one: str, other: str) -> bool:
    """Whether two versions of Python differ in nothing but the last number."""
    first, second = one.split("."), other.split(".")
    return first[:2] == second[:2] and len(first) == len(second) == 3 and first != second


def _checkout_hint(ui_home: Path, commit: str) -> str:
    if not _COMMIT.match(commit):
        return "Bring ComfyUI to that version yourself, if you need it."
    home = shlex.quote(str(ui_home))
    return "To change that: git -C %s fetch origin %s && git -C %s checkout %s" % (home, commit, home, commit)
