"""The reason codes of what a run did not do, or found, so that nothing runs or is written unasked: a part of the table
in reasons.py, which is where to find one."""

from __future__ import annotations

from typing import Sequence

from app.protocol.reason import About, Reason, Retry

_NODE, _WARNING = About.NODE, About.WARNING

SAFETY: Sequence[Reason] = (
    # -- what packs' code uses of the machine, and leaves running ------------------------------------------------------
    Reason("process_limit", "Too many processes started", _NODE),
    Reason("memory_limit", "Nearly all memory used", _NODE, Retry.HELPS),
    Reason("disk_limit", "Disk nearly full", _NODE, Retry.HELPS),
    Reason("left_running", "Programs left running", _WARNING),
    # -- what git may do ---------------------------------------------------------------------------------------------
    Reason("git_scheme_refused", "Address's scheme not allowed", _NODE),
    Reason("git_config_refused", "Folder's git configuration unsafe", _NODE, Retry.HELPS),
    Reason("git_config_ignored", "Programs in git's configuration", _WARNING),
    Reason("repository_too_large", "Repository too large", _NODE),
    Reason("no_room_for_repository", "No room for the repository", _NODE, Retry.HELPS),
)
