"""What a task_id looks like: a UUID, in lower case. The ids of fleets and workflows look the same."""

from __future__ import annotations

import re
from typing import Optional

PATTERN = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WHOLE = re.compile(PATTERN)


def is_task_id(text: object) -> bool:
    """Whether `text` is a task_id in its one spelling, and hence safe as a file's name."""
    return isinstance(text, str) and _WHOLE.fullmatch(text) is not None


def canonical(text: object) -> Optional[str]:
    """The id that `text` spells, in lower case; None for anything that is no UUID."""
    lower = text.lower() if isinstance(text, str) else ""
    return lower if is_task_id(lower) else None
