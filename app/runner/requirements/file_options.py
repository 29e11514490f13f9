"""The options in a requirements file: where packages are, and how they are chosen and built.

They are the pack's own, and hold for its packages alone. What pip does with one and Nodeferry does not is told with its
line. Source of the format: pip's "Requirements File Format".
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional
from urllib.parse import urlsplit

from app.protocol.redaction import masked
from app.runner.requirements.lines import canonical

_TORCH_HOSTS = frozenset({"download.pytorch.org", "download-r2.pytorch.org"})
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]{1,100})\}")
_SHORT = {"-i": "--index-url", "-f": "--find-links"}
_WITHOUT_VALUE = frozenset(
    {"--pre", "--prefer-binary", "--no-build-isolation", "--no-index", "--require-hashes", "--use-pep517"}
)
_WITH_VALUE = frozenset(
    {
        "--index-url",
        "--pypi-url",
        "--extra-index-url",
        "--find-links",
        "--trusted-host",
        "--no-binary",
        "--only-binary",
        "--use-feature",
        "--config-settings",
        "--config-setting",
        "--global-option",
        "--install-option",
    }
)
_NAMES = re.compile(r"^(?::all:|:none:|[A-Za-z0-9][A-Za-z0-9._-]{0,99})\Z")
_MOST = 50
"""Places, and things told, of one file."""


class Place(NamedTuple):
    """Where packages are: an index (PEP 503), or a page or folder of links. `address`: what is read, which may hold a
    login; `host`: what people are told, a folder's name for a folder."""

    is_index: bool
    address: str
    host: str

    @property
    def is_remote(self) -> bool:
        """Whether it is an address, and no folder or file of the pack."""
        return self.address.startswith(("http://", "https://"))


@dataclass
class FileOptions:
    """What one pack's files say. `told`: what is not followed, a sentence's part each; `constraints`: lines."""

    locations: List[Place] = field(default_factory=list)
    trusted: List[str] = field(default_factory=list)
    pre: bool = False
    prefers_wheels: bool = False
    no_build_isolation: bool = False
    no_binary: List[str] = field(default_factory=list)
    only_binary: List[str] = field(default_factory=list)
    constraints: List[str] = field(default_factory=list)
    told: List[str] = field(default_factory=list)

    @property
    def are_any(self) -> bool:
        """Whether the pack's packages have to be looked for in a way of their own."""
        return bool(
            self.locations
            or self.pre
            or self.prefers_wheels
            or self.no_build_isolation
            or self.no_binary
            or self.only_binary
        )

    def report(self, where: str, what: str) -> None:
        """Something is not followed. `where`: the file's name and line."""
        if len(self.told) < _MOST:
            self.told.append(masked("%s: %s" % (where, what)))


class OptionReader:
    """Reads the option lines of the files of the pack in `folder` into `options`."""

    def __init__(self, folder: Path, options: FileOptions) -> None:
        self._folder = folder
        self._options = options
        self._handlers: Dict[str, Callable[[str, str], None]] = {
            "--index-url": self._index,
            "--pypi-url": self._index,
            "--extra-index-url": self._index,
            "--find-links": self._links,
            "--trusted-host": self._trusted,
            "--no-binary": lambda value, where: self._formats(self._options.no_binary, value, where),
            "--only-binary": lambda value, where: self._formats(self._options.only_binary, value, where),
        }

    def read(self, line: str, where: str) -> None:
        """One logical line of options. `where`: the file's name and the line's number, for what is told."""
        try:
            words = shlex.split(line)
        except ValueError:
            words = line.split()
        while words:
            name, value = _name_and_value(words.pop(0))
            if name in _WITHOUT_VALUE:
                self._switch(name, where)
            elif name in _WITH_VALUE:
                if value is None:
                    value = words.pop(0).lstrip("=") if words else ""
                    value = value or (words.pop(0) if words else "")
                self._option(name, value, where)
            else:
                self._options.report(where, "%.40r is no option that pip knows here" % masked(name))

    def _switch(self, name: str, where: str) -> None:
        options = self._options
        if name == "--pre":
            options.pre = True
        elif name == "--prefer-binary":
            options.prefers_wheels = True
        elif name == "--no-build-isolation":
            options.no_build_isolation = True
        elif name == "--no-index":
            options.report(where, "--no-index is not followed; what its own places lack comes from the registry")
        elif name == "--require-hashes":
            options.report(where, "--require-hashes is not followed; only the hashes that lines have are compared")

    def _option(self, name: str, value: str, where: str) -> None:
        handler = self._handlers.get(name)
        expanded = self._expanded(value, where)
        if not value:
            self._options.report(where, "%s has no value" % name)
        elif handler is None:
            self._options.report(where, "%s is not followed" % name)
        elif expanded is not None:
            handler(expanded, where)

    def _expanded(self, value: str, where: str) -> Optional[str]:
        """With the values of variables, as pip takes them; None where one is not set."""
        missing = [name for name in _VARIABLE.findall(value) if not os.environ.get(name)]
        if missing:
            self._options.report(where, "the variable %s is not set on this machine" % missing[0])
            return None
        return _VARIABLE.sub(lambda found: os.environ[found.group(1)], value)

    def _index(self, value: str, where: str) -> None:
        self._place(value, where, is_index=True)

    def _links(self, value: str, where: str) -> None:
        self._place(value, where, is_index=False)

    def _place(self, value: str, where: str, *, is_index: bool) -> None:
        try:
            parts = urlsplit(value)
            host = parts.hostname or ""
            port = ":%d" % parts.port if parts.port else ""
        except ValueError:
            self._options.report(where, "it names no address")
            return
        if parts.scheme in ("http", "https") and host:
            if host in _TORCH_HOSTS and (parts.path + "/").startswith("/whl/"):
                return  # torch's own builds: the family is held, so there is nothing to fetch from it
            found = Place(is_index, value, host + port)
        elif "://" in value or not value.isprintable():
            self._options.report(where, "it names a place that cannot be read")
            return
        else:
            inside = self._inside(value)
            if inside is None:
                self._options.report(where, "%.60r is not there, or outside of the pack" % value)
                return
            found = Place(is_index, str(inside), "the pack's own %s" % inside.name)
        if found not in self._options.locations and len(self._options.locations) < _MOST:
            self._options.locations.append(found)

    def _inside(self, value: str) -> Optional[Path]:
        """A path in a requirements file is relative to the pack, and leads to something in it."""
        path = value.removeprefix("file:")
        top = os.path.realpath(str(self._folder))
        target = os.path.realpath(os.path.join(top, path))
        is_inside = target == top or target.startswith(top + os.sep)
        return Path(target) if is_inside and os.path.exists(target) else None

    def _trusted(self, value: str, where: str) -> None:
        if not re.match(r"^[A-Za-z0-9.:\[\]_-]{1,255}$", value):
            self._options.report(where, "it names no host")
        elif value not in self._options.trusted:
            self._options.trusted.append(value)

    def _formats(self, known: List[str], value: str, where: str) -> None:
        for name in filter(None, value.split(",")):
            if not _NAMES.match(name):
                self._options.report(where, "%.40r is no package" % name)
            elif name == ":none:":
                known.clear()
            else:
                known.append(name if name == ":all:" else canonical(name))


def _name_and_value(word: str) -> tuple[str, Optional[str]]:
    """An option's long name, and its value where it is in the same word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals and value else None
    name, value = word[:2], word[2:].lstrip("=")
    return _SHORT.get(name, name if name.startswith("-") else word), value or None
