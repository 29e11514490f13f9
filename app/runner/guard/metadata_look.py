"""A cheap look at an environment: whether anything was installed, replaced or removed since an earlier one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import FrozenSet, List, Tuple

from app.runner.environment.environment import Environment

_ENDINGS = (".dist-info", ".egg-info", ".egg-link", ".egg")
_INNER = ("METADATA", "PKG-INFO", "direct_url.json")

Look = FrozenSet[Tuple[str, int, int]]
"""The metadata of packages: path, inode and time of the last change."""


def look(environment: Environment) -> Look:
    """As it is now, in some milliseconds, without a process. A folder of the user's own packages counts before it is
    there: pip makes it where it may not write into the system's."""
    own = "~/.local/lib/python%s/site-packages" % ".".join(environment.version.split(".")[:2])
    found = set()
    for folder in dict.fromkeys([*environment.paths, os.path.expanduser(own)]):
        for path in _metadata_in(folder):
            for each in (path, *(os.path.join(path, name) for name in _INNER)):
                found.update(_state(each))
    return frozenset(found.union(_state(environment.executable), _state(str(Path(environment.prefix) / "pyvenv.cfg"))))


def _metadata_in(folder: str) -> List[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(_ENDINGS)]
    except OSError:
        return []


def _state(path: str) -> List[Tuple[str, int, int]]:
    try:
        state = os.lstat(path)
    except OSError:
        return []
    return [(path, state.st_ino, state.st_mtime_ns)]
