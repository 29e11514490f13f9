"""One error signature, and the hints that several of them share."""

from __future__ import annotations

from dataclasses import dataclass

NETWORK = "Check the instance's internet connection, then start again. Packs that are already cloned are kept."
DISK = "Free some space on the instance's disk (or raise its quota), then start again."
BUSY = "Stop what writes to it (ComfyUI, a download), or unmount what is mounted there, then start again."
ADDRESS = "Check the repository's address: it may have been renamed, moved or deleted."
READ_ONLY = "Check how that disk is mounted, or use a ComfyUI that is on a writable one."
MEMORY = "Stop other programs on the instance, or rent one with more memory, then start again."
PROCESSES = "Stop other programs on the instance (or raise the container's process limit), then start again."
PERMISSION = "Check who owns ComfyUI's folders on the instance (ls -l), or log in as root."
UNLISTED = (
    "It usually comes from the system's own packages or from an old setup.py. Remove it by hand (with apt-get, or its "
    "folder in site-packages), or use an image with a virtual environment of its own. Then retry."
)
AUTHOR = "Report it to the pack's author."


@dataclass(frozen=True)
class Signature:
    """One entry of the table; `app.runner.hints.signatures` says what its fields mean."""

    code: str
    of: str
    pattern: str
    message: str
    hint: str
