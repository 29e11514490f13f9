"""A pack that listens on a port when it is imported, in a check that runs beside the ComfyUI that has the port.

That ComfyUI has loaded the pack as it was: the check says nothing of the pack then. A port that another program holds,
or another pack of the same start, is the pack's own trouble in the next start too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Optional, Set, Tuple

from app.protocol.snapshot import Problem
from app.runner.comfyui.running import running_here
from app.runner.context import Context
from app.runner.machine.listening import comfyui_port
from app.runner.machine.ports import held, held_by, holder_of

_IN_USE = re.compile(r"Errno 98\]|\bAddress already in use\b|\baddress already in use\b|EADDRINUSE|\[Errno 48\]")
_NUMBER = re.compile(r"(?<![\w.])(\d{2,5})(?![\w.])")
_USUAL = 1024
_MOST_FILES = 200
_READ_BYTES = 128 * 1024
_UNKNOWN = (
    "When it is imported, the pack listens on %s, which the ComfyUI that runs holds. So the check could not import it, "
    "and whether it loads is not known."
)
_UNKNOWN_HINT = "Restart ComfyUI, and look there for the pack's nodes."
_TAKEN = "When it is imported, the pack listens on %s, which is taken: %s."
_TAKEN_HINT = "End that program, or give the pack another port in its settings."


def of_import(context: Context, pack: Path, text: str) -> Optional[Tuple[Problem, bool]]:
    """Why an import that printed `text` found its port taken, and whether the pack may be good all the same; None where
    it did not fail by that."""
    if not _IN_USE.search(text):
        return None
    ours = held_by(process.pid for process in running_here(context))
    named = _numbers(text) | _numbers(_code_of(pack))
    wanted = named & set(held())
    port = next(iter(sorted(wanted & ours)), None)
    unnamed = not any(number >= _USUAL for number in named) and bool(ours - {comfyui_port(context.ui_home)})
    if port is not None or unnamed:  # where nothing names the number, it comes from somewhere else
        what = "port %d" % port if port else "a port"
        return Problem("port_of_comfyui", _UNKNOWN % what, _UNKNOWN_HINT), True
    port = next(iter(sorted(wanted)), None)
    who = (holder_of(port) or "another program listens there") if port else "another pack or program listens there"
    return Problem("port_in_use", _TAKEN % ("port %d" % port if port else "a port", who), _TAKEN_HINT), False


def _numbers(text: str) -> Set[int]:
    return {int(number) for number in _NUMBER.findall(text) if 0 < int(number) < 65536}


def _code_of(pack: Path) -> str:
    """Lines of the pack's own files that may name a port."""
    said: List[str] = []
    files = 0
    for folder, _, names in os.walk(str(pack)):
        for name in sorted(names):
            if not name.endswith((".py", ".json", ".toml", ".yaml", ".ini")):
                continue
            files += 1
            if files > _MOST_FILES:
                return "\n".join(said)
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    text = file.read(_READ_BYTES).decode("utf-8", "replace")
            except OSError:
                continue
            said += [line for line in text.splitlines() if re.search(r"(?i)port|bind|listen|serve", line)]
    return "\n".join(said)
