"""Whether a pack's folder can be moved, and how one is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.files.mounts import mounted_in
from app.runner.files.move import discard


def cannot_be_moved(custom_nodes: Path, folder: Path) -> Optional[Problem]:
    """Why nothing else takes the folder's place: it is a link, or something is mounted in it."""
    name = folder.relative_to(custom_nodes).as_posix()
    if folder.is_symlink():
        text = "custom_nodes/%s is a link to another folder, which Nodeferry does not replace." % name
        return Problem("name_taken", text, 'Remove the link, or start again with "existing": "update".')
    mounted = mounted_in(folder)
    if not mounted:
        return None
    text = "A disk or volume is mounted at %s, so custom_nodes/%s cannot be replaced. It was left untouched."
    hint = "Unmount it (umount %s, or at your provider), then start again."
    return Problem("folder_busy", text % (mounted[0], name), hint % mounted[0])


def remove(context: Context, folder: Path) -> None:
    """Removes a folder that nobody needs any more. What cannot be removed is reported, and ComfyUI skips it. Raises
    OSError where it stays in ComfyUI's sight."""
    if not discard(folder):
        warn_kept(context, folder)


def warn_kept(context: Context, folder: Path) -> None:
    """Some of the files cannot be removed."""
    name = folder.relative_to(context.custom_nodes).as_posix()
    text = "Some old files of custom_nodes/%s cannot be removed. ComfyUI does not load them." % name
    hint = "As root, remove the folders in custom_nodes that begin with .nodeferry-copy- (chattr -R -i unlocks files)."
    context.warn("old_files_kept", text, hint)
