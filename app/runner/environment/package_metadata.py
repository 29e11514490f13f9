"""The packages in folders, as their own metadata describes them, however odd that is.

ComfyUI's interpreter runs this file too (`inspection`), and nothing else of ours: it needs only the standard library,
and tells a Python before 3.8 that it has none. What is no package, or cannot be read, is left out; nothing raises.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

try:
    from importlib import metadata
except ImportError:  # before Python 3.8
    metadata = None  # type: ignore[assignment]

UNKNOWN = "unknown"
"""The version of a package that does not say which one it is."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_FIELD = re.compile(r"([A-Za-z-]+):[ \t]*(.*)")
_LINE_END = re.compile(r"\r\n|\r|\n")
_LEFTOVER = ("~", "-")
"""How the names of what pip was just replacing begin (`~umpy-1.26.4.dist-info`; an older pip's: `-umpy-…`)."""


class PackageMetadata:
    """One package. `path`: the folder or file of its metadata; `location`: the folder that it lies in; `requires_dist`
    and `extras`: as its metadata has them; `requires`: the same, or an egg's list; `direct_url`: its origin (PEP 610),
    where it is a JSON object."""

    def __init__(self, found: Any) -> None:
        """Raises ValueError for what is no package, and whatever the files of this one make Python raise."""
        self.path = found._path  # noqa: SLF001 - so it is named since Python 3.8
        if self.path.name.startswith(_LEFTOVER):
            raise ValueError("a leftover")
        fields = _fields(self.text_of("METADATA") or self.text_of("PKG-INFO") or self.text_of(""))
        named, _, versioned = re.sub(r"\.(?:dist|egg)-info$", "", self.path.name).partition("-")
        names = [name for name in (*fields.get("Name", ()), named) if _NAME.fullmatch(name)]
        if not names or not (fields.get("Name") or self._has_files(found)):
            raise ValueError("no package")
        self.name = names[0]
        self.version = (*fields.get("Version", ()), versioned or UNKNOWN)[0]
        self.location = str(found.locate_file(""))
        self.requires_dist: List[str] = fields.get("Requires-Dist", [])
        of_egg = found.requires if not self.requires_dist and self.text_of("requires.txt") else None
        self.requires: List[str] = self.requires_dist or [str(line) for line in of_egg or ()]
        self.extras: List[str] = fields.get("Provides-Extra", [])
        self.installer = self.text_of("INSTALLER").strip()
        self.direct_url = self._direct_url()

    def text_of(self, name: str) -> str:
        """A file beside the metadata (the metadata itself, where that is a file and `name` is empty); empty where
        there is none that can be read."""
        try:
            path = self.path / name if name else self.path
            return str(path.read_bytes().decode("utf-8-sig", "replace")) if path.is_file() else ""
        except (OSError, ValueError, KeyError):
            return ""

    def to_json(self) -> List[Any]:
        """As the inspection tells it."""
        return [self.name, self.version, self.location, self.requires, self.installer, self.direct_url]

    def _direct_url(self) -> Optional[Dict[str, Any]]:
        try:
            origin = json.loads(self.text_of("direct_url.json") or "null")
        except ValueError:
            return None
        return origin if isinstance(origin, dict) else None

    def _has_files(self, found: Any) -> bool:
        """Whether there is one at least of the files that its RECORD names, beside the metadata; so it is believed
        where somebody else's metadata may not be read."""
        if self.path.is_dir() and not os.access(str(self.path), os.R_OK | os.X_OK):
            return True
        names = [line.split(",")[0].strip('"') for line in _LINE_END.split(self.text_of("RECORD"))]
        files = [name for name in names if name and not name.startswith(self.path.name + "/")]
        return any(os.path.isfile(str(found.locate_file(name))) for name in files)


def packages_in(paths: Iterable[str]) -> Iterator[PackageMetadata]:
    """The packages in these folders (`sys.path`), in their order. A name may come more than once."""
    for path in paths:
        for found in _distributions([path]):
            try:
                yield PackageMetadata(found)
            except Exception:  # noqa: BLE001, S112 - a stranger's files may make Python raise anything
                continue


def _distributions(paths: Sequence[str]) -> List[Any]:
    try:
        return list(metadata.distributions(path=list(paths)))
    except Exception:  # noqa: BLE001 - as above
        return []


def _fields(text: str) -> Dict[str, List[str]]:
    """The values of a metadata file's head by their names. A description may follow it, or be folded into it."""
    fields: Dict[str, List[str]] = {}
    for line in _LINE_END.split(text):
        field = _FIELD.match(line)
        if field and field.group(2).strip():
            fields.setdefault(field.group(1), []).append(field.group(2).strip())
        elif not field and not line.startswith((" ", "\t")):
            break
    return fields
