"""A task's lock as the file of another tool, or as one that brings a new machine up without this service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.protocol.other_files.comfy_build import write_build
from app.protocol.other_files.own_script import write_provisioning, write_script
from app.remote.packer import pack_runner


class LockFileForm(StrEnum):
    """What a lock can be written as, besides itself and a snapshot of ComfyUI-Manager."""

    COMFY_BUILD = "comfy-build"
    PROVISIONING = "provisioning"
    ON_START = "on-start"


@dataclass(frozen=True, slots=True)
class LockFile:
    """`line`: what starts it on a machine, with ADDRESS for where the file lies; empty for a file that another tool
    reads. `told`: what the file cannot hold."""

    file_name: str
    text: str
    line: str = ""
    told: tuple[str, ...] = ()


def written(lock: Mapping[str, Any], form: LockFileForm, task_id: str) -> LockFile:
    """A lock in that form."""
    if form is LockFileForm.COMFY_BUILD:
        text, missing = write_build(lock, f"nodeferry-{task_id[:8]}")
        return LockFile("comfy-build.yaml", text, told=tuple(missing))
    told = tuple(_told(lock))
    pyz = pack_runner().content
    if form is LockFileForm.PROVISIONING:
        return LockFile("provisioning.yaml", write_provisioning(lock, pyz), "PROVISIONING_MANIFEST=ADDRESS", told)
    return LockFile("nodeferry-on-start.sh", write_script(lock, pyz), "curl -fsSL ADDRESS | bash", told)


def _told(lock: Mapping[str, Any]) -> list[str]:
    names = [str(each.get("name")) for each in lock.get("only_there") or ()]
    return [f"No other machine can fetch {name}; it is left out there." for name in names]
