"""What the runner's commands `wheels` and `wheel` answer: the kept wheels of this machine, for the service to fetch."""

from __future__ import annotations

import base64
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Optional

from app.protocol.wheel_names import MAX_BYTES, MAX_WHEELS, is_wheel_name
from app.runner.daemon import frames
from app.runner.daemon.frames import Frames
from app.runner.machine.homes import find_ui_home
from app.runner.process.errors import RunFault
from app.runner.process.paths import Task, state_folder
from app.runner.resolve.kept_wheels import Kept, kept_folder, listed

_PIECE = 192 * 1024


def wheels_answer(task: Task, ui_home: Optional[str]) -> Dict[str, Any]:
    """The kept wheels by name. `own`: built in this run. Of several with one name, this run's counts, else the newest.
    Raises OSError."""
    found = _by_name(task, ui_home)
    wheels = [
        {
            "name": name,
            "bytes": kept.bytes,
            "sha256": kept.sha256,
            "own": _is_own(kept, task),
            "facts": kept.about.get("facts"),
        }
        for name, kept in sorted(found.items())
    ]
    return {"wheels": wheels[:MAX_WHEELS], "left_out": max(0, len(wheels) - MAX_WHEELS)}


def send_wheel(task: Task, name: str, offset: int, ui_home: Optional[str], out: Frames) -> None:
    """Sends a kept wheel from a byte on, a frame a piece, and a last frame. Raises OSError, ValueError."""
    kept = _by_name(task, ui_home).get(name) if is_wheel_name(name) else None
    if kept is None:
        message, hint = "The instance keeps no such wheel (any more).", "List them again."
        out.json(frames.ANSWER, {"error": {"code": "wheel_not_found", "message": message, "hint": hint}})
        return
    left = MAX_BYTES
    with open(os.open(str(kept.path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("the wheel is no file")
        file.seek(max(0, offset))
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            left -= len(piece)
            out.write(frames.WHEEL, base64.b64encode(piece))
    out.json(frames.END, {"status": "ended"})


def _by_name(task: Task, ui_home: Optional[str]) -> Dict[str, Kept]:
    found: Dict[str, Kept] = {}
    for kept in sorted(_listed(ui_home), key=lambda each: (_is_own(each, task), _built(each))):
        found[kept.name] = kept
    return found


def _listed(ui_home: Optional[str]) -> List[Kept]:
    """Wherever wheels are kept on this machine."""
    folders: List[Path] = [state_folder() / "wheels"]
    with suppress(RunFault):  # ComfyUI is gone; what is among the runner's own files is still there
        folders.append(kept_folder(find_ui_home(ui_home)))
    return [kept for folder in dict.fromkeys(folders) for kept in listed(folder)]


def _is_own(kept: Kept, task: Task) -> bool:
    return kept.about.get("task_id") == task.task_id


def _built(kept: Kept) -> int:
    built = kept.about.get("built")
    return built if isinstance(built, int) else 0
