"""Requirements files as packs have them: their lines, with nested files read in and what only pip knows dropped.

Source of the format: pip's "Requirements File Format".
"""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Set

from app.protocol.snapshot import Problem
from app.runner.requirements.constraint_lines import narrowed
from app.runner.requirements.file_options import FileOptions, OptionReader
from app.runner.requirements.forms import requirement
from app.runner.requirements.left_out import LeftOut, LeftOutLines, quoted
from app.runner.requirements.lines import as_constraint, name_of
from app.runner.requirements.logical_lines import logical_lines

_WEB_PAGE = re.compile(r"\s*<(?:!doctype html|html|head|\?xml)\b", re.IGNORECASE)
_HASH = re.compile(r"\s--hash[= ]\s*(sha(?:256|384|512):[0-9a-fA-F]{64,128})(?=\s|$)")
_BINARY = ("%PDF-", "PK\x03\x04")
_OPTION = re.compile(r"^(--[A-Za-z][A-Za-z-]*|-[A-Za-z])(?:\s*=\s*|\s*)(.*)$")
_ITS_OPTIONS = re.compile(r"\s--(hash|global-option|install-option|config-settings?)[= ]\S+")
_DEEPEST = 20
_MAX_BYTES = 1024 * 1024
_MOST_LINES = 5_000
_LONGEST_LINE = 5_000


class FileLines(NamedTuple):
    """A file's logical lines, why the file cannot be used, if so, and the lines that are left out. `notes`: what else
    is not as pip would have it, in sentences."""

    lines: List[str]
    problem: Optional[Problem]
    left_out: LeftOutLines
    notes: List[str]
    hashes: Mapping[str, Sequence[str]]
    """Of the files that may be installed, by packages' canonical names, for those whose lines have them."""
    options: FileOptions


def read_file(path: Path, folder: Path) -> FileLines:
    """The lines of a requirements file of the pack in `folder`, for a resolver. Raises OSError."""
    reader = _Reader(folder)
    lines = reader.lines(path)
    lines, unused = narrowed(lines, reader.constraints)
    constraints = {line: as_constraint(line) for line in unused}
    reader.options.constraints += [line for line in constraints.values() if line]
    useless = [line for line, found in constraints.items() if not found]
    reader.notes += ["the constraint %s is not used" % quoted(line) for line in useless[:20]]
    return FileLines(lines, reader.problem, reader.left_out, reader.notes, reader.hashes, reader.options)


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


def kind_of(text: str) -> str:
    """What a file is whose lines must not be taken for names of packages; empty for a list of packages."""
    if _WEB_PAGE.match(text):
        return "a web page"
    beginning = text[:4096]
    odd = sum(not (char.isprintable() or char.isspace()) for char in beginning)
    return "no text" if "\0" in text or text.startswith(_BINARY) or odd * 20 > len(beginning) else ""


def _where(path: Path, number: int) -> str:
    return "%s, line %d" % (path.name, number)


class _Reader:
    """Reads a file of the pack in `folder` and the files that it names, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: Set[str] = set()
        self.problem: Optional[Problem] = None
        self.left_out = LeftOutLines()
        self.notes: List[str] = []
        self.constraints: List[str] = []
        self.hashes: Dict[str, List[str]] = {}
        self.options = FileOptions()
        self._option_reader = OptionReader(folder, self.options)

    def lines(self, path: Path) -> List[str]:
        """The logical lines. Raises OSError for the first file only."""
        self._seen.add(os.path.realpath(str(path)))
        with open(str(path), "rb") as file:
            raw_text = file.read(_MAX_BYTES + 1)
        if len(raw_text) > _MAX_BYTES:
            self._bad("%s is larger than a megabyte." % path.name)
            return []
        text = decode(raw_text)
        what = kind_of(text)
        if what:
            self._bad("%s is %s and not a list of packages, so none were installed." % (path.name, what))
            return []
        lines: List[str] = []
        for at, (number, line) in enumerate(logical_lines(text, os.environ)):
            if at >= _MOST_LINES:
                self._bad("%s has more than %d lines." % (path.name, _MOST_LINES))
                return []
            bare = re.sub(_ITS_OPTIONS, "", line).strip()
            dropped = re.findall(r"\s(--(?:global-option|install-option|config-settings?))[= ]", line)
            self.notes += ["%s of the line %s is not used" % (each, quoted(bare)) for each in dropped[:3]]
            hashes = re.findall(_HASH, line)
            if hashes and name_of(bare):
                self.hashes.setdefault(name_of(bare), []).extend(hashes)
            if len(bare) > _LONGEST_LINE:
                self._not_read(bare[:200], "it is longer than any requirement")
            elif bare:
                lines += self._logical(bare, path, number)
        return list(dict.fromkeys(lines))

    def _logical(self, line: str, path: Path, number: int) -> List[str]:
        option = _OPTION.match(line)
        if not option:
            return self._required(line)
        name, value = option.group(1), option.group(2).strip()
        if name in ("-r", "--requirement"):
            return self._nested(name, value, path)
        if name in ("-e", "--editable"):
            return self._required(value.strip("\"'"), editable=True) if value else []
        if name in ("-c", "--constraint"):
            self.constraints += self._nested(name, value, path)
        else:
            self._option_reader.read(line, _where(path, number))
        return []

    def _required(self, line: str, *, editable: bool = False) -> List[str]:
        found = requirement(line, self._folder, editable=editable)
        if isinstance(found, LeftOut):
            self.left_out.add(found)
            return []
        return [found]

    def _nested(self, option: str, name: str, path: Path) -> List[str]:
        line = "%s %s" % (option, name)
        name = name.strip("\"'")
        target = os.path.realpath(str(path.parent / name)) if "\0" not in name else ""
        inside = target.startswith(os.path.realpath(str(self._folder)) + os.sep)
        if target in self._seen:
            return []
        if not inside or not os.path.isfile(target) or len(self._seen) >= _DEEPEST:
            self._not_read(line, "it names no file of the pack")
            return []
        try:
            return self.lines(Path(target))
        except OSError as exc:
            self._not_read(line, "the file cannot be read: %s" % exc.strerror)
            return []

    def _not_read(self, line: str, why: str) -> None:
        self.left_out.add(LeftOut(line, "bad_requirement", why, "Report it to the pack's author."))

    def _bad(self, message: str) -> None:
        self.problem = Problem("bad_requirement", message, "Report it to the pack's author.")
