"""Styles, scripts and pictures, from memory, at addresses with their version in them.

What a browser has fetched once it never asks for again, and a page of one version never runs another's script. All
styles are one sheet and each page's modules one script: each request costs more than the bytes that it saves.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.webui.bundle import joined
from app.words import table

FOLDER = Path(__file__).parent / "static"
SHEET = "site.css"
_SHEETS = ("tokens", "base", "components", "shell", "start", "docs", "lists", "fleet", "run", "log", "tabs")
"""The parts of the sheet, in the order in which they stand in it."""
_EVERY_PAGE = 'import { } from "../core/shell.js";\n'
"""What stands in front of each page's own module: the bar and the rest that all pages have."""
_WORD_TABLE = "js/core/word-table.js"
"""Made here, out of the words that the command line reads too."""
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Assets:
    """`version`: changes with any of the files. `files`: content by name; a page's script is `NAME.js`."""

    version: str
    files: Mapping[str, bytes]


def type_of(name: str) -> str:
    """The media type of a file."""
    return _TYPES[posixpath.splitext(name)[1]]


def modules() -> dict[str, str]:
    """The sources of all modules by name; those of pages begin with `js/pages/`."""
    paths = {path.relative_to(FOLDER).as_posix(): path for path in sorted((FOLDER / "js").rglob("*.js"))}
    found = {
        name: (_EVERY_PAGE if name.startswith("js/pages/") else "") + path.read_text("utf-8")
        for name, path in paths.items()
    }
    found[_WORD_TABLE] = f"export const WORDS = {json.dumps(table('en'), ensure_ascii=False)};\n"
    return found


@cache
def assets() -> Assets:
    """The files, read once a process."""
    files = {path.name: path.read_bytes() for path in sorted(FOLDER.glob("*.svg"))}
    sources = modules()
    for name in sources:
        if name.startswith("js/pages/"):
            files[posixpath.basename(name)] = joined(name, sources).encode("utf-8")
    files[SHEET] = b"\n".join((FOLDER / "css" / f"{part}.css").read_bytes() for part in _SHEETS)
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return Assets(digest.hexdigest()[:12], files)
