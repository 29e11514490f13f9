"""Reads ssh_config(5) files as ssh does, without running anything: `Host`, `Match`, `Include`, the first value wins.

`Match exec` and criteria that only a running ssh knows never apply.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.remote.config_words import check_written, expand, matches, split_line
from app.small_files import CONFIG_BYTES, read_small

LISTS = frozenset({"identityfile", "certificatefile"})
"""Keywords whose values all count, in their order."""

_MAX_DEPTH = 16
_MAX_FILES = 200
_MAX_BYTES_ALTOGETHER = 1_000_000
_MAX_PATTERNS, _MAX_FOLDERS = 3, 60
"""Of the path of an Include: how many of its names may have wildcards, and how many names it may have."""


@dataclass(frozen=True, slots=True)
class Local:
    """Who asks: `home` and `user` on this machine, and its environment."""

    home: Path
    user: str
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class HostSettings:
    """What the files say for one host so far; `options` by the keyword in lower case."""

    original: str
    """The host as it was asked for."""
    host: str
    """The host that `Host` lines look at: in the second pass the one of HostName."""
    options: dict[str, list[str]] = field(default_factory=dict)
    final: bool = False
    wants_final: bool = False
    files: int = 0
    bytes: int = 0

    def first(self, keyword: str, default: str = "") -> str:
        """The one value of `keyword`."""
        return self.options.get(keyword, [default])[0]

    def is_on(self, keyword: str) -> bool:
        """Whether a yes-or-no keyword says yes."""
        return self.first(keyword).lower() in ("yes", "true")


def read(original: str, user: str | None, files: list[Path], local: Local) -> HostSettings:
    """What `files` say for `original`, an earlier file before a later one; `user`: the one that the address names.

    Raises ValueError, with the file and the line, and OSError.
    """
    found = HostSettings(original, original)
    if user is not None:
        found.options["user"] = [user]
    for _ in range(2):
        for path in files:
            _Reader(found, local, path.parent).read(path, active=True, never=False, depth=0)
        if not found.wants_final or found.final:
            break
        found.final = True
        found.host = hostname_of(found).lower()
    return found


def hostname_of(found: HostSettings) -> str:
    """The real name or address behind the host. Raises ValueError."""
    name = found.first("hostname")
    return expand(name, home="~", tokens={"h": found.original, "n": found.original}) if name else found.original


class _Mistake(ValueError):
    """A mistake whose line is named."""


class _Reader:
    """Adds what the files say to `found`. `folder`: where relative names of Include begin."""

    def __init__(self, found: HostSettings, local: Local, folder: Path) -> None:
        self._found = found
        self._local = local
        self._folder = folder

    def read(self, path: Path, *, active: bool, never: bool, depth: int) -> None:
        """One file. `active`: whether lines before its first block count; `never`: whether none counts."""
        self._found.files += 1
        if depth > _MAX_DEPTH or self._found.files > _MAX_FILES:
            raise ValueError(f"{path}: too many files include each other")
        try:
            text = read_small(path, CONFIG_BYTES).decode("utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return
        self._found.bytes += len(text)
        if self._found.bytes > _MAX_BYTES_ALTOGETHER:
            raise ValueError(f"{path}: the files are too large altogether")
        for number, line in enumerate(text.split("\n"), 1):
            try:
                active = self._line(line, active=active, never=never, depth=depth)
            except _Mistake:
                raise
            except ValueError as exc:
                raise _Mistake(f"{exc} (line {number} of {path})") from exc

    def _line(self, line: str, *, active: bool, never: bool, depth: int) -> bool:
        """One line; whether the lines behind it count. Raises ValueError."""
        keyword, words = split_line(line)
        check_written([keyword, *words])
        if keyword and not words:
            raise ValueError(f"{keyword} has no value")
        if keyword == "host":
            return not never and matches(self._found.host, words)
        if keyword == "match":
            return self._matches(words) and not never
        if keyword == "include":
            for name in words:
                self._include(name, active=active, never=never, depth=depth)
        elif keyword and active:
            self._add(keyword, words)
        return active

    def _include(self, name: str, *, active: bool, never: bool, depth: int) -> None:
        place = expand(name, home=str(self._local.home), tokens={"d": str(self._local.home), "u": self._local.user})
        pattern = place if place.startswith("/") else f"{glob.escape(str(self._folder))}/{place}"
        names = place.split("/")
        if len(names) > _MAX_FOLDERS or sum(map(glob.has_magic, names)) > _MAX_PATTERNS:
            raise ValueError("Include looks into too many folders")
        for path in sorted(glob.glob(pattern)):
            self.read(Path(path), active=active, never=never or not active, depth=depth + 1)

    def _add(self, keyword: str, words: list[str]) -> None:
        options = self._found.options
        if keyword in LISTS:
            values = options.setdefault(keyword, [])
            if words[0] not in values:
                values.append(words[0])
        else:
            options.setdefault(keyword, words)

    def _matches(self, words: list[str]) -> bool:
        """Whether every criterion of a Match line fits. Raises ValueError for one without its value."""
        fits = True
        waiting = [part for word in words for part in _criterion_parts(word)]
        while waiting:
            name = waiting.pop(0)
            criterion = name.lower().removeprefix("!")
            if criterion in _ALONE:
                if criterion == "final":
                    self._found.wants_final = True
                result = criterion == "all" or self._found.final
            else:
                if not waiting:
                    raise ValueError(f"{criterion} of Match has no value")
                value = waiting.pop(0)
                if criterion not in _COMPARED:
                    return False  # exec would run a program; nobody here knows the others
                result = matches(_COMPARED[criterion](self._found, self._local), value.split(","))
            fits = fits and (not result if name.startswith("!") else result)
        return fits


def _criterion_parts(word: str) -> list[str]:
    """`host=NAME` is one word for two."""
    name, equals, value = word.partition("=")
    known = name.lower().removeprefix("!") in {*_COMPARED, "exec"}
    return [name, value] if equals and known else [word]


_ALONE = frozenset({"all", "canonical", "final"})
_COMPARED: Mapping[str, Callable[[HostSettings, Local], str]] = {
    "host": lambda found, _: hostname_of(found) if "hostname" in found.options else found.host,
    "originalhost": lambda found, _: found.original,
    "user": lambda found, local: found.first("user", local.user),
    "localuser": lambda _, local: local.user,
    "tagged": lambda found, _: found.first("tag"),
}
