"""The lock of a run, told at its end; and, where a lock was asked for, how what is there compares with that one."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional, Sequence

from app.protocol.events import LockMade
from app.protocol.lockfile import FORMAT
from app.runner.context import Context, PackResult
from app.runner.lock.compare import torch_of
from app.runner.lock.lock import Locked
from app.runner.machine.interpreter import Execute, prove


def emit_lock(context: Context, results: Sequence[PackResult], run: Execute, locked: Optional[Locked]) -> None:
    """Tells the lock of what the run leaves. Raises RunCancelled."""
    packages: Mapping[str, str] = {}
    python = context.python
    if python:
        proof, _ = prove(python["executable"], run)
        packages = proof["packages"] if proof else {}
    torch, cuda = torch_of(python)
    probe = context.journal.snapshot.probe
    lock = {
        "format": FORMAT,
        "ui_home": str(context.ui_home),
        "comfyui_commit": probe.get("comfyui_commit"),
        "interpreter": python.get("executable"),
        "python": python.get("version"),
        "torch": {"version": torch, "cuda": cuda} if torch else None,
        "gpu": probe.get("gpu"),
        "driver": probe.get("driver"),
        "system": probe.get("system"),
        "machine": os.uname().machine,
        "node_packs": [found for found in (_pack(context, result) for result in results) if found],
        "packages": dict(sorted(packages.items())),
        "compared": locked.compared(results, packages) if locked else None,
    }
    context.journal.emit(LockMade(lock))


def _pack(context: Context, result: PackResult) -> Optional[Dict[str, Any]]:
    """What is there now: a pack that a rollback took away is not."""
    pack = result.pack
    commit = context.git().head(result.folder) if result.is_cloned else None
    if commit is None:
        return None
    return {
        "name": pack.name,
        "repo_url": pack.repo_url,
        "folder": pack.folder,
        "requirements_file": pack.requirements_file,
        "commit": commit,
    }
