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


def owns(pattern: str) -> bool:
    """Whether a pattern marks names as a pack's own: it holds on to the start or the end of a name. `Hunyuan` does not:
    it is in names of a dozen packs."""
    return pattern.startswith(("^", "(^")) or pattern.endswith("$")
