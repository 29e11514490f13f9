"""What runs that were killed left half-done in custom_nodes: moves, reinstalls and replaced registry copies.

The next run in the same ComfyUI settles all of it before it looks at any pack, and so does the sweep of the killed run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

from app.runner.context import Context
from app.runner.files.move import settle_all
from app.runner.packs import existing, manager_copies
from app.runner.process.locks import try_lock
from app.runner.process.paths import Task, ui_home_lock


def settle(context: Context) -> None:
    """Settles what earlier runs left, and warns of what cannot be settled. The run holds the ComfyUI's lock."""
    for problem in _settle(context.custom_nodes):
        where = os.path.relpath(str(problem.filename), str(context.custom_nodes)) if problem.filename else "a folder"
        text = "An earlier run was killed while it moved %s, and that cannot be finished: %s"
        hint = "Nothing is lost. Once the cause is removed, the next run finishes it."
        context.warn("move_unfinished", text % (where, problem.strerror), hint)


def settle_after_death(task: Task) -> None:
    """As `settle`, for the sweep of a killed run, unless another run works there."""
    try:
        staging = Path((task.folder / "staging").read_text("utf-8", "surrogateescape"))
        noted = task.comfyui
        lock = try_lock(ui_home_lock(noted[0] if noted else staging.parent.parent))
    except OSError:
        return  # it was killed before it knew its ComfyUI
    if lock is not None:
        _settle(staging.parent)
        os.close(lock)


def _settle(custom_nodes: Path) -> List[OSError]:
    problems = settle_all([custom_nodes, custom_nodes / ".disabled"])
    for name in sorted(os.listdir(str(custom_nodes))) if custom_nodes.is_dir() else ():
        path = custom_nodes / name
        try:
            if name.endswith(existing.OLD):
                existing.restore_old(path)
            elif manager_copies.is_mark(name):
                manager_copies.settle_replacing(path)
        except OSError as exc:
            problems.append(exc)
    return problems
