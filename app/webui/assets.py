"""Styles, scripts and pictures, from memory, at addresses with their version in them.

What a browser has fetched once it never asks for again, and a page of one version never runs another's script: its
imports lead below its own address. All styles are one sheet: each request costs more than the bytes that it saves.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
SHEET = "site.css"
_SHEETS = ("tokens", "base", "components", "task", "start", "history", "fleet", "workflow")
"""The parts of the sheet, in the order in which they stand in it."""
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_IMPORT = re.compile(r'^import .*"(\.[^"]+)";$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Assets:
    """`version`: changes with any of the files. `files`: content by name; the scripts' names begin with `js/`."""

    version: str
    files: Mapping[str, bytes]

    def modules_of(self, entry: str) -> tuple[str, ...]:
        """The modules that a script imports, and those that they import: a browser may fetch all of them at once."""
        found: dict[str, None] = {}
        ahead = [entry]
        while ahead:
            name = ahead.pop(0)
            for imported in _IMPORT.findall(self.files[name].decode("utf-8")):
                module = posixpath.normpath(posixpath.join(posixpath.dirname(name), imported))
                if module not in found:
                    found[module] = None
                    ahead.append(module)
        return tuple(found)


def type_of(name: str) -> str:
    """The media type of a file."""
    return _TYPES[posixpath.splitext(name)[1]]


@cache
def assets() -> Assets:
    """The files, read once a process."""
    files = {
        path.relative_to(FOLDER).as_posix(): path.read_bytes()
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in _TYPES and path.suffix != ".css"
    }
    files[SHEET] = b"\n".join((FOLDER / "css" / f"{part}.css").read_bytes() for part in _SHEETS)
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return Assets(digest.hexdigest()[:12], files)
