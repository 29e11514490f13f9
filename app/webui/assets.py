"""Styles, scripts and pictures, from memory, at addresses with their version in them.

What a browser has fetched once it never asks for again, and a page of one version never runs another's script. Each
page has one sheet and one script: each request costs more than the bytes that it saves. They are compressed once, as
small as that goes.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app.webui.bundle import joined, parts
from app.webui.styles import Styles, styles
from app.words import LANGUAGE, table

FOLDER = Path(__file__).parent / "static"
_EVERY_PAGE = 'import { } from "../core/shell.js";\n'
"""What stands in front of each page's own module: the bar and the rest that all pages have."""
_WITHOUT_BAR = frozenset({"js/pages/status.js"})
_WORD_TABLE = "js/core/word-table.js"
"""Made here, out of the words that the command line reads too."""
_KEY = re.compile(r"[\"'`]([a-z]+\.\w*)")
"""A word's key, or how it begins (`run.tab_${name}`), as modules have it."""
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Assets:
    """`version`: changes with any of the files. `files`: content by name; a page has `NAME.js` and `NAME.css`.
    `compressed`: the same by name and encoding, where that is smaller. `styles`: by page."""

    version: str
    files: Mapping[str, bytes]
    compressed: Mapping[tuple[str, str], bytes]
    styles: Mapping[str, Styles]


def type_of(name: str) -> str:
    """The media type of a file."""
    return _TYPES[posixpath.splitext(name)[1]]


def modules() -> dict[str, str]:
    """The sources of all modules by name; those of pages begin with `js/pages/`."""
    paths = {path.relative_to(FOLDER).as_posix(): path for path in sorted((FOLDER / "js").rglob("*.js"))}
    with_bar = {name for name in paths if name.startswith("js/pages/")} - _WITHOUT_BAR
    found = {name: (_EVERY_PAGE if name in with_bar else "") + path.read_text("utf-8") for name, path in paths.items()}
    found[_WORD_TABLE] = _word_table(table(LANGUAGE))
    return found


def words_of(page: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """The words that the modules of a page may ask for: those whose key begins as one of their texts does."""
    texts = "".join(sources[name] for name in parts(page, sources) if name != _WORD_TABLE)
    begins = tuple(set(_KEY.findall(texts)))
    return {key: text for key, text in table(LANGUAGE).items() if key.startswith(begins)}


def _word_table(words: Mapping[str, Any]) -> str:
    return f"export const WORDS = {json.dumps(words, ensure_ascii=False, separators=(',', ':'))};\n"


@cache
def assets() -> Assets:
    """The files, read once a process."""
    files = {path.name: path.read_bytes() for path in sorted(FOLDER.glob("*.svg"))}
    sources = modules()
    for name in sources:
        if name.startswith("js/pages/"):
            own = sources | {_WORD_TABLE: _word_table(words_of(name, sources))}
            files[posixpath.basename(name)] = joined(name, own).encode("utf-8")
    own_styles = styles()
    files |= {f"{page}.css": each.rest.encode("utf-8") for page, each in own_styles.items()}
    digest = hashlib.sha256()
    first = {page: each.first.encode("utf-8") for page, each in own_styles.items()}
    for name, content in sorted({**files, **first}.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    packed = {(name, kind): pack(content) for name, content in files.items() for kind, pack in _packers().items()}
    smaller = {key: content for key, content in packed.items() if len(content) < len(files[key[0]])}
    return Assets(digest.hexdigest()[:12], files, smaller, own_styles)


def _packers() -> dict[str, Callable[[bytes], bytes]]:
    """By encoding, the best first. Brotli where Python happens to have it."""
    found: dict[str, Callable[[bytes], bytes]] = {"gzip": lambda content: gzip.compress(content, 9, mtime=0)}
    try:
        brotli = importlib.import_module("brotli")
    except ImportError:
        return found
    return {"br": brotli.compress, **found}


ENCODINGS = tuple(_packers())
"""The encodings in which an asset may be had, the best first."""
