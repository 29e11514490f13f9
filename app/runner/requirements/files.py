"""A pack's requirements file, made fit for one resolution over many packs.

The torch family's lines are taken out (the installed build is kept), nested files are read in, and what only
pip knows is
dropped. Source of the format: pip's "Requirements File Format".
"""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Set

from app.protocol.snapshot import Problem
from app.runner.requirements.versions import satisfies

_FAMILY = re.compile(
    r"^(torch|torchvision|torchaudio|torchsde|xformers|triton|flash-attn|flash-attention|sageattention|nvidia-.*|cuda-.*)$"
)
_HARMLESS_IF_ABSENT = frozenset({"torchsde", "nvidia-ml-py"})
_NAME = re.compile(r"^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?=$|[\[<>=!~;@\s(])")
_ADDRESS = re.compile(r"^(?:[a-z]+\+)?[a-z]+:/|^[./~]|\.(?:whl|zip|tar\.gz)$|^\$\{")
_OPTION = re.compile(r"^(--[A-Za-z][A-Za-z-]*|-[A-Za-z])(?:\s*=\s*|\s*)(.*)$")
_ITS_OPTIONS = re.compile(r"\s--(hash|global-option|install-option|config-settings?)[= ]\S+")
_INDEX_OPTIONS = ("--extra-index-url", "--index-url", "-i")
_TORCH_INDEX = re.compile(r"/whl(/|$)")
"""Where torch's builds are; the family is held, so there is nothing to fetch from it."""
_SIMPLE = re.compile(r"^[A-Za-z0-9._-]+\s*(([<>=!~]=?|===)\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*(;.*)?$")
_PLAIN = re.compile(r"^[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*\(?((?:[<>=!~][^;@()]*)?)\)?$")
_EXTRAS = re.compile(r"^([A-Za-z0-9._-]+)\s*\[[^\]]*\]")
_DEEPEST = 20
_MAX_BYTES = 1024 * 1024


@dataclass
class Requirements:
    """The lines for the resolver, the protected ones that were taken out, and what cannot be used."""

    lines: List[str] = field(default_factory=list)
    held: List[str] = field(default_factory=list)
    left_out: List[str] = field(default_factory=list)
    problem: Optional[Problem] = None
    unmet: Optional[Problem] = None
    """The installed build of the torch family is out of a line's bounds."""


def canonical(name: str) -> str:
    """A package's name in its one form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_protected(name: str) -> bool:
    """Whether the package is of the torch family, whose installed build stays as it is."""
    return bool(_FAMILY.match(canonical(name)))


def protected(packages: Mapping[str, str]) -> Dict[str, str]:
    """The installed members of the torch family and their versions."""
    return {canonical(name): version for name, version in packages.items() if is_protected(name)}


def read_requirements(path: Path, folder: Path, packages: Mapping[str, str]) -> Requirements:
    """The requirements of the pack in `folder`; `packages` are the installed ones. Raises OSError."""
    found = Requirements()
    installed = protected(packages)
    for line in _Reader(folder, found).lines(path):
        name = protected_name(line)
        if name in installed:
            found.held.append(line)
            found.unmet = found.unmet or _unmet(line, name, installed[name])
        elif name and name not in _HARMLESS_IF_ABSENT:
            found.left_out.append(line)
        else:
            found.lines.append(line)
    return found


def _unmet(line: str, name: str, version: str) -> Optional[Problem]:
    bounds = bounds_of(line)
    if bounds is None or satisfies(version, bounds) is not False:
        return None
    text = "The pack asks for %s, but %s %s is installed and is never replaced." % (line, name, version)
    hint = "Use an image with that build, or another version of the pack. Its other packages are installed."
    return Problem("torch_version_wanted", text, hint)


def protected_name(line: str) -> Optional[str]:
    """The member of the torch family that a line asks for, by name or by an address; None for any other."""
    found = name_of(line)
    if found == "flash-attention":
        found = "flash-attn"
    return found if is_protected(found) else None


def name_of(line: str) -> str:
    """The package that a line asks for, by name or by an address, in its one form; empty for an option."""
    if line.startswith("--"):
        return ""
    name = _NAME.match(line)
    return canonical(name.group(1) if name else _name_in_address(line))


def bounds_of(line: str) -> Optional[str]:
    """The bounds of a plain line (`NAME[extra] >=1,<2`); None where an address or a marker makes them unknown."""
    found = _PLAIN.match(line)
    return found.group(1).strip() if found else None


def _name_in_address(line: str) -> str:
    """`…#egg=NAME`, a wheel's or an archive's name, or the repository's."""
    egg = re.search(r"#(?:.*&)?egg=([A-Za-z0-9._-]+)", line)
    if egg:
        return egg.group(1)
    last = re.split(r"[#?\s]", re.sub(r"^-e\s+", "", line))[0].rstrip("/").rpartition("/")[2]
    if last.endswith((".whl", ".zip", ".tar.gz")):
        return last.split("-")[0]
    return last.split("@")[0].removesuffix(".git")


def constraints(packages: Mapping[str, str], ui_home: Path) -> List[str]:
    """What every resolution must keep: the installed torch family exactly, ComfyUI's own requirements as they are."""
    lines = ["%s==%s" % item for item in sorted(protected(packages).items())]
    try:
        own = read_requirements(ui_home / "requirements.txt", ui_home, packages).lines
    except OSError:
        own = []
    return lines + [line for line in (re.sub(_EXTRAS, r"\1", line) for line in own) if _SIMPLE.match(line)]


def never(packages: Mapping[str, str]) -> List[str]:
    """Overrides that take the torch family out of a resolution which cannot see that it is installed."""
    names = {*protected(packages), "torch", "torchvision", "torchaudio", "xformers", "triton"}
    return ["%s ; sys_platform == 'never'" % name for name in sorted(names)]


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

    def __init__(self, folder: Path, found: Requirements) -> None:
        self._folder = folder
        self._found = found
        self._seen: Set[str] = set()

    def lines(self, path: Path) -> List[str]:
        """The logical lines. Raises OSError for the first file only."""
        self._seen.add(os.path.realpath(str(path)))
        text = re.sub(r"\\\r?\n", " ", self._text(path))
        lines: List[str] = []
        for raw in text.splitlines():
            line = re.sub(r"(^|\s)#.*$", "", raw).strip()
            line = re.sub(_ITS_OPTIONS, "", line).strip()
            if line:
                lines += self._logical(line, path)
        return lines

    def _text(self, path: Path) -> str:
        with open(str(path), "rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            self._bad("%s is larger than a megabyte." % path.name)
            return ""
        return decode(raw)

    def _logical(self, line: str, path: Path) -> List[str]:
        option = _OPTION.match(line)
        if option:
            return self._option(option.group(1), option.group(2).strip(), path)
        if not line.isprintable() or not (_NAME.match(line) or _ADDRESS.search(line)):
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
        self._found.problem = Problem("bad_requirement", message, "Report it to the pack's author.")
