"""Ending a stand-in: its sshd, everything started from it, its folder. Idempotent.

The stand-in calls it when it is stopped, the guard when the stand-in's process died before that.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.standin import processes
from app.standin.processes import Process


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What a stand-in leaves on a machine, and so what has to go."""

    root: Path
    port: int | None
    keep_files: bool = False

    def running(self) -> set[Process]:
        """The sshd, its connections, and everything started from them."""
        found = processes.processes_below(self.root)
        if self.port is not None:
            found |= processes.processes_at_port(self.port, listening=True)
            found |= processes.processes_at_port(self.port, listening=False)
        return found


def tear_down(leftovers: Leftovers) -> None:
    """End all processes, then remove the folder. Raises StillRunning."""
    if leftovers.port is not None:  # first, so that nothing new can be started
        for process in processes.processes_at_port(leftovers.port, listening=True):
            processes.kill(process)
    processes.end_all(leftovers.running)
    remove_progress_files(leftovers.root)
    if not leftovers.keep_files:
        remove_tree(leftovers.root)


def remove_progress_files(root: Path) -> None:
    """The runs' progress lies in /tmp, where an instance's own would be too: a file a task that was run here."""
    for task in root.glob("home/.local/state/nodeferry/*-*-*-*-*"):
        Path(f"/tmp/custom_nodes_progress_{task.name}.json").unlink(missing_ok=True)  # noqa: S108  # where the runner puts it


def remove_tree(folder: Path) -> None:
    """Remove a folder, also where a test made parts of it read-only."""
    if not folder.exists():
        return
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(parent, name)
            if not os.path.islink(path) and not os.access(path, os.W_OK | os.X_OK):
                os.chmod(path, 0o700)
    shutil.rmtree(folder)
