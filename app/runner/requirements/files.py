"""Requirements files as packs have them: their lines, with nested files read in and what only pip knows dropped.

Source of the format: pip's "Requirements File Format".
"""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import List, NamedTuple, Optional, Set

from app.protocol.snapshot import Problem
from app.runner.requirements.lines import begins_with_name

_ADDRESS = re.compile(r"^(?:[a-z]+\+)?[a-z]+:/|^[./~]|\.(?:whl|zip|tar\.gz)$|^\$\{")
_OPTION = re.compile(r"^(--[A-Za-z][A-Za-z-]*|-[A-Za-z])(?:\s*=\s*|\s*)(.*)$")
_ITS_OPTIONS = re.compile(r"\s--(hash|global-option|install-option|config-settings?)[= ]\S+")
_INDEX_OPTIONS = ("--extra-index-url", "--index-url", "-i")
_TORCH_INDEX = re.compile(r"/whl(/|$)")
"""Where torch's builds are; the family is held, so there is nothing to fetch from it."""
_DEEPEST = 20
_MAX_BYTES = 1024 * 1024


class FileLines(NamedTuple):
    """A file's logical lines, and why the file cannot be used, if so."""

    lines: List[str]
    problem: Optional[Problem]


def read_file(path: Path, folder: Path) -> FileLines:
    """The lines of a requirements file of the pack in `folder`, for a resolver. Raises OSError."""
    reader = _Reader(folder)
    lines = reader.lines(path)
    return FileLines(lines, reader.problem)


def decode(raw: bytes) -> str:
    """The text of a requirements file: by its byte order mark, else UTF-8, else Latin-1."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    if b"\0" in raw[:64]:  # UTF-16 without its mark
        return raw.decode("utf-16-be" if raw[:1] == b"\0" else "utf-16-le", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class _Reader:
    """Reads a file of the pack in `folder` and the files that it names, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: Set[str] = set()
        self.problem: Optional[Problem] = None

    def lines(self, path: Path) -> List[str]:
        """The logical lines. Raises OSError for the first file only."""
        self._seen.add(os.path.realpath(str(path)))
        with open(str(path), "rb") as file:
            raw_text = file.read(_MAX_BYTES + 1)
        if len(raw_text) > _MAX_BYTES:
            self._bad("%s is larger than a megabyte." % path.name)
            return []
        text = re.sub(r"\\\r?\n", " ", decode(raw_text))
        lines: List[str] = []
        for raw in text.splitlines():
            line = re.sub(r"(^|\s)#.*$", "", raw).strip()
            line = re.sub(_ITS_OPTIONS, "", line).strip()
            if line:
                lines += self._logical(line, path)
        return lines

    def _logical(self, line: str, path: Path) -> List[str]:
        option = _OPTION.match(line)
        if option:
            return self._option(option.group(1), option.group(2).strip(), path)
        if not line.isprintable() or not (begins_with_name(line) or _ADDRESS.search(line)):
            self._bad("%s has the line %.60r, which is not a requirement." % (path.name, line))
            return []
        return [self._local(line)]

    def _option(self, name: str, value: str, path: Path) -> List[str]:
        if name in ("-r", "--requirement"):
            return self._nested(value, path)
        if name in ("-e", "--editable"):
            return ["-e %s" % self._local(value)]
        if name in _INDEX_OPTIONS and value and not _TORCH_INDEX.search(value):
            return ["--extra-index-url %s" % value]  # its own index for one pack must not become everybody's only one
        if name in ("--find-links", "-f") and value and not _TORCH_INDEX.search(value):
            return ["--find-links %s" % self._local(value)]
        return []

    def _nested(self, name: str, path: Path) -> List[str]:
        if "\0" in name:
            self._bad("%s names a file that cannot exist." % path.name)
            return []
        target = os.path.realpath(str(path.parent / name))
        inside = target.startswith(os.path.realpath(str(self._folder)) + os.sep)
        if target in self._seen:
            return []
        if not inside or not os.path.isfile(target) or len(self._seen) >= _DEEPEST:
            self._bad("%s names %.80s, which is not a file of the pack." % (path.name, name))
            return []
        try:
            return self.lines(Path(target))
        except OSError as exc:
            self._bad("%s cannot be read: %s." % (name, exc.strerror))
            return []

    def _local(self, value: str) -> str:
        """A path in a requirements file is relative to the pack."""
        return str((self._folder / value).absolute()) if value.startswith(".") else value

    def _bad(self, message: str) -> None:
        self.problem = Problem("bad_requirement", message, "Report it to the pack's author.")
