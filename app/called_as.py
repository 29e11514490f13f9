"""How a person calls this program here: what messages name is to work as it is typed.

Hints are written with `run.py` in front of a command. `as_called` puts the words of this set-up there: the checkout's
own Python and script, the installed `nodeferry`, or the setting `command` (in a container).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

RUN_FILE = Path(__file__).resolve().parents[1] / "run.py"
IS_CHECKOUT = RUN_FILE.is_file()
"""Else it is installed, and there is neither run.py nor make."""
_HINTED = re.compile(
    r"(?<![\w./-])(?<!python )(?:run\.py|nodeferry) "
    r"(?=(?:config|demo|hostkeys|install|key|pyz|serve|tasks|token|wheels|workflow)\b)"
)
_chosen: list[str] = []


def set_command(text: str) -> None:
    """What the setting `command` says; "" for what is found out."""
    _chosen[:] = [text] if text else []


def program() -> str:
    """The words before a command: `.venv/bin/python run.py`, `nodeferry`, or what the setting says."""
    return _chosen[0] if _chosen else _found(sys.argv[0], sys.executable)


def own_command() -> list[str]:
    """What starts this program again, in a process of its own, wherever that is started."""
    return [sys.executable, str(RUN_FILE)] if IS_CHECKOUT else [sys.executable, "-P", "-m", "app.cli"]


def as_called(text: str) -> str:
    """A text whose commands can be typed here."""
    return _HINTED.sub(lambda _found: f"{program()} ", text)


def _found(script: str, python: str) -> str:
    if script.endswith(".py"):
        run_file = script if os.path.basename(script) == RUN_FILE.name else str(RUN_FILE)
        return f"{_typed(python)} {_typed(run_file)}"
    name = os.path.basename(script)
    if name in {"", "-c", "-m"}:
        return "nodeferry"
    return _typed(script) if os.path.exists(script) else name


def _typed(path: str) -> str:
    """The shortest way to type a file: by its name where the shell finds it, from the current folder, or in full."""
    full = os.path.abspath(path)
    name = os.path.basename(full)
    on_path = shutil.which(name)
    if on_path and os.path.abspath(on_path) == full:
        return shlex.quote(name)
    try:
        near = os.path.relpath(full)
    except (OSError, ValueError):  # the current folder is gone
        return shlex.quote(full)
    return shlex.quote(full if near.startswith("..") else near)
