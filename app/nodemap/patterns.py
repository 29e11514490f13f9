"""Name patterns of ComfyUI-Manager's map (`nodename_pattern`): regular expressions from outside.

Only those are read that cannot take long on a name of 200 characters: no group is repeated, and at most two stars.
"""

from __future__ import annotations

import re

_LONGEST = 300
_REPEATED_GROUP = re.compile(r"\)\s*[*+?{]")
_LOOK_OR_REFERENCE = re.compile(r"\(\?|\\[1-9]")
_REPEATS = re.compile(r"(?<!\\)[*+{]")
_MOST_REPEATS = 2


def compiled(pattern: object) -> re.Pattern[str] | None:
    """The pattern, or None for one that is not read."""
    if not isinstance(pattern, str) or not 2 <= len(pattern) <= _LONGEST:
        return None
    if _REPEATED_GROUP.search(pattern) or _LOOK_OR_REFERENCE.search(pattern):
        return None
    if len(_REPEATS.findall(pattern)) > _MOST_REPEATS:
        return None
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return None


def owning(pattern: object) -> list[re.Pattern[str]]:
    """The alternatives of a pattern that mark names as a pack's own: that hold on to the start or the end of a name.
    `Hunyuan` does not: it is in names of a dozen packs. Nor does the second of `^Anything Everywhere|Simple String`."""
    if compiled(pattern) is None:
        return []
    found = (compiled(each) for each in _alternatives(str(pattern)))
    return [each for each in found if each is not None and _is_anchored(each.pattern)]


def _is_anchored(pattern: str) -> bool:
    return pattern.startswith("^") or (pattern.endswith("$") and not pattern.endswith("\\$"))


def _alternatives(pattern: str) -> list[str]:
    """The parts between the bars that are in no group, also of a pattern that is one group as a whole."""
    parts, depth, begin, place = [], 0, 0, 0
    while place < len(pattern):
        mark = pattern[place]
        if mark == "[":
            place = max(pattern.find("]", place + 2), place)
        elif mark == "\\":
            place += 1
        elif mark in "()":
            depth += 1 if mark == "(" else -1
        elif mark == "|" and depth == 0:
            parts.append(pattern[begin:place])
            begin = place + 1
        place += 1
    parts.append(pattern[begin:])
    is_group = len(parts) == 1 and pattern.startswith("(") and pattern.endswith(")")
    inside = _alternatives(pattern[1:-1]) if is_group and _closes_last(pattern) else [pattern]
    return inside if len(parts) == 1 else parts


def _closes_last(pattern: str) -> bool:
    """Whether the first bracket closes with the last character: `(a|b)` and not `(a)|(b)`, nor `(a)(b)`."""
    return compiled(pattern[1:-1]) is not None
