"""Which pack's import ComfyUI was in when it crashed, or when it was aborted since it stood still.

Source: Python's faulthandler, which prints the stack of each thread, or of the current one alone (ComfyUI switches the
others off), the innermost frame first and what is not ASCII escaped.
"""

from __future__ import annotations

import re
from typing import List, Optional, Sequence

_FATAL = re.compile(r"^Fatal Python error: (.*)$")
_HEAD = re.compile(r"^(Current thread|Thread|Stack)\b.*\(most recent call first\):$")
_FRAME = re.compile(r'^  File "(.*)", line \d+ in (.*)$')
_PACK = re.compile(r"/custom_nodes/([^/]+)")
_MAIN = re.compile(r"(?:^|/)main\.py$")


class _Stack:
    """One thread's frames: its files and functions, the innermost first."""

    def __init__(self, head: str) -> None:
        self.current = head != "Thread"
        self.files: List[str] = []
        self.is_main = False

    def add(self, file: str, function: str) -> None:
        """The next frame outwards."""
        self.files.append(file)
        self.is_main = self.is_main or (function == "<module>" and bool(_MAIN.search(file)))


def packs_in_stack(lines: Sequence[str], names: Sequence[str]) -> List[str]:
    """Those of `names` (entries of custom_nodes) in the last fatal error's stack, the innermost first. Of a crash it is
    the stack of the thread that crashed; of an abort the main thread's, since imports run there; the other one of the
    two where that names no pack. Empty without a fatal error."""
    fatal = [(number, found.group(1)) for number, found in enumerate(map(_FATAL.match, lines)) if found]
    if not fatal:
        return []
    start, why = fatal[-1]
    stacks = _stacks(lines[start:])
    current = next((stack for stack in stacks if stack.current), None)
    main = next((stack for stack in stacks if stack.is_main), None)
    order = (main, current) if why.startswith("Aborted") else (current, main)
    return next(filter(None, (_packs(stack, names) for stack in order)), [])


def _stacks(lines: Sequence[str]) -> List[_Stack]:
    stacks: List[_Stack] = []
    for line in lines:
        head, frame = _HEAD.match(line), _FRAME.match(line)
        if head:
            stacks.append(_Stack(head.group(1)))
        elif frame and stacks:
            stacks[-1].add(frame.group(1), frame.group(2))
    return stacks


def _packs(stack: Optional[_Stack], names: Sequence[str]) -> List[str]:
    escaped = {name.encode("ascii", "backslashreplace").decode("ascii"): name for name in names}
    found = [_PACK.search(file) for file in (stack.files if stack else ())]
    inside = [escaped[match.group(1)] for match in found if match and match.group(1) in escaped]
    return list(dict.fromkeys(inside))
