"""A line of the audit log, for a terminal. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from app.protocol.terminal_text import one_line


def audit_line(command: Mapping[str, Any]) -> str:
    """When, by whom, why, what, and how it ended."""
    ended = command.get("ended")
    how = "end not known" if ended is None else str(ended)
    if command.get("status") is not None:
        how += f" {command['status']}"
    if command.get("seconds") is not None:
        how += f" after {command['seconds']:.1f} s"
    what = shlex.join(str(part) for part in command.get("argv") or ())
    who = f"{command.get('by')} as {command.get('user')}"
    return one_line(f"{command.get('at')} {who} in {command.get('cwd')}: {command.get('why')}: {what}: {how}")
