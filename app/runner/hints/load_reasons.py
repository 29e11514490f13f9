"""Why packs' code was ended that used more of the machine than it may."""

from __future__ import annotations

from typing import Optional

from app.protocol.snapshot import Problem

_AUTHOR = "Read the pack's log: this is usually a mistake in the pack. Report it to its author, or leave the pack out."
_MEMORY = "Use an instance with more memory, or stop what else uses it, and retry the pack."
_DISK = "Free some space, or use an instance with a larger disk, and retry the pack."


def of_load(stopped: Optional[str], what: str) -> Optional[Problem]:
    """None where it was something else. `what`: whose processes they were, as the beginning of a sentence."""
    if stopped == "processes":
        text = "%s started more processes than this machine can bear, and was ended." % what
        return Problem("process_limit", text, _AUTHOR)
    if stopped == "memory":
        text = "%s had used nearly all memory, and was ended before other programs, ComfyUI among them, were killed."
        return Problem("memory_limit", text % what, _MEMORY)
    if stopped == "disk":
        text = "While %s ran, the disk became nearly full. It was ended before nothing else could be written." % what
        return Problem("disk_limit", text, _DISK)
    return None
