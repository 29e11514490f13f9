"""One error signature, and the hints that several of them share."""

from __future__ import annotations

from dataclasses import dataclass

NETWORK = "Check the instance's network; then start again: packs that are there are kept."
DISK = "Free some space on the instance's disk (or its quota), then start again."
ADDRESS = "Check the repository's address; it may have been renamed or removed."
READ_ONLY = "Check how that disk is mounted, or use a ComfyUI that is on a writable one."
MEMORY = "Stop other programs on the instance, or rent one with more memory, then start again."
PROCESSES = "Stop other programs on the instance (or raise the container's process limit), then start again."
AUTHOR = "Tell the pack's author."


@dataclass(frozen=True)
class Signature:
    """One entry of the table; `app.runner.hints.signatures` says what its fields mean."""

    code: str
    of: str
    pattern: str
    message: str
    hint: str
