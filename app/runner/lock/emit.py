"""The lock of a run, told at its end; and, where a lock was asked for, how what is there compares with that one."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional, Sequence

from app.protocol.events import LockMade
from app.protocol.lockfile import FORMAT
from app.runner.context import Context, PackResult
from app.runner.lock.compare import torch_of
from app.runner.lock.lock import Locked


def emit_lock(context: Context, results: Sequence[PackResult], locked: Optional[Locked]) -> None:
    """Tells the lock of what the run leaves; the environment was inspected a moment ago, for the rollback record.
    Raises RunCancelled."""
    python = context.environment
    torch, cuda = torch_of(python) if python else (None, None)
    packages = {found.name: found.version for found in python.distributions.values()} if python else {}
    probe = context.journal.snapshot.probe
    lock = {
        "format": FORMAT,
        "ui_home": str(context.ui_home),
        "comfyui_commit": probe.get("comfyui_commit"),
        "interpreter": python.executable if python else None,
        "python": python.version if python else None,
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
