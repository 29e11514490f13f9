"""Folders that a pack's install.py makes in custom_nodes: ComfyUI would take them for packs."""

from __future__ import annotations

import os
from typing import Collection, List, Set

from app.runner.context import Context

_HINT = "Move what is in it to ComfyUI's own folders, and remove it: ComfyUI takes it for a pack that cannot be loaded."
_MOST = 5


def folders_in(context: Context) -> Set[str]:
    """The names of the folders in custom_nodes that ComfyUI would import."""
    try:
        with os.scandir(str(context.custom_nodes)) as entries:
            names = {entry.name for entry in entries if entry.is_dir()}
    except OSError:
        return set()
    return {name for name in names if name[0] not in "._" and not name.endswith(".disabled")}


def is_no_pack(context: Context, name: str) -> bool:
    """Whether nothing in the folder says that it is one."""
    folder = context.custom_nodes / name
    return folder.is_dir() and not any((folder / each).exists() for each in ("__init__.py", ".git", ".tracking"))


def warn_of(context: Context, names: Collection[str], maker: str = "") -> None:
    """Tells of folders that no pack owns, once each. `maker`: whose install.py has made them."""
    told: Set[str] = context.shared.setdefault("stray_folders", set())  # type: ignore[assignment]
    new: List[str] = sorted(name for name in names if name not in told and is_no_pack(context, name))
    if not new:
        return
    told.update(new)
    listed = ", ".join("custom_nodes/%.80s" % name for name in new[:_MOST])
    more = " and %d more" % (len(new) - _MOST) if len(new) > _MOST else ""
    by = "The install.py of %s made" % maker if maker else "No pack owns"
    context.warn("stray_folder", "%s %s%s." % (by, listed, more), _HINT)
