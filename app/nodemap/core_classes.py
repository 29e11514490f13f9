"""The classes of ComfyUI itself, as of the newest ComfyUI that this version knows.

core_classes.json is written by `python -m tools.core_classes`. An instance knows better: its /object_info says of each
class which module it is from. This list is for before there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_FILE = Path(__file__).with_name("core_classes.json")


@dataclass(frozen=True)
class CoreClasses:
    """`present` are in the newest known ComfyUI; `gone` were in an older one, with the last version of its pages that
    had them. `frontend` is the version of the newest one's pages."""

    frontend: str
    present: frozenset[str]
    gone: dict[str, str]

    def __contains__(self, class_name: object) -> bool:
        """Whether the newest known ComfyUI has a class. The texts of its pages have an underscore for each dot."""
        return isinstance(class_name, str) and class_name.replace(".", "_") in self.present


@lru_cache(maxsize=1)
def core_classes() -> CoreClasses:
    """The list that comes with this version."""
    found = json.loads(_FILE.read_text(encoding="utf-8"))
    classes = found["classes"]
    return CoreClasses(
        found["frontend"][-1],
        frozenset(name for name, when in classes.items() if len(when) == 1),
        {name: when[1] for name, when in classes.items() if len(when) > 1},
    )
