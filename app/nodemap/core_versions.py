"""In which versions of ComfyUI each of its own classes is. core_versions.json is written by
`python -m tools.core_versions`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.protocol.core_needs import CoreClass
from app.protocol.versions import is_older

_FILE = Path(__file__).with_name("core_versions.json")


@dataclass(frozen=True)
class CoreVersions:
    """`oldest` and `known_to`: between these two it is known exactly which classes each version has; of what is newer,
    up to `newest`, only when a class has come."""

    oldest: str
    known_to: str
    newest: str
    classes: Mapping[str, CoreClass]

    def find(self, class_name: str) -> CoreClass | None:
        """A class that is or was ComfyUI's own; None for any other."""
        return self.classes.get(_key(class_name))

    def has(self, class_name: str, version: str) -> bool:
        """Whether a ComfyUI of this version has the class as its own. One that is newer than any that is known has what
        the newest has."""
        found = self.find(class_name)
        if found is None or is_older(version, found.since):
            return False
        if found.until is not None:
            return not is_older(found.until, version)
        return found.since is not None or is_older(self.newest, version)


@lru_cache(maxsize=1)
def core_versions() -> CoreVersions:
    """What comes with this version of Nodeferry."""
    found = json.loads(_FILE.read_text(encoding="utf-8"))
    replaced = found["replaced"]
    classes = {
        _key(name): CoreClass(name, next(iter(when), None), when[1] if len(when) > 1 else None, replaced.get(name))
        for name, when in found["classes"].items()
    }
    return CoreVersions(found["oldest"], found["known_to"], found["newest"], classes)


def _key(class_name: str) -> str:
    """The texts of ComfyUI's pages have an underscore for each dot."""
    return class_name.replace(".", "_")
