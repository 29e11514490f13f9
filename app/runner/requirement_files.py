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
from typing import Any, Dict, List, Mapping, Optional

from app.protocol.snapshot import Problem

_FAMILY = re.compile(
    r"^(torch|torchvision|torchaudio|torchsde|xformers|triton|flash-attn|sageattention|nvidia-.*|cuda-.*)$"
)
_HARMLESS_IF_ABSENT = frozenset({"torchsde"})
_NAME = re.compile(r"^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?=$|[\[<>=!~;@\s(])")
_KEPT_OPTIONS = ("--extra-index-url", "--index-url", "-i", "--find-links", "-f")
_SIMPLE = re.compile(
    r"^[A-Za-z0-9._-]+(\[[A-Za-z0-9,._ -]+\])?\s*(([<>=!~]=?|===)\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*(;.*)?$"
)
_DEEPEST = 5


@dataclass
class Requirements:
    """The lines for the resolver, the protected ones that were taken out, and what cannot be used."""

    lines: List[str] = field(default_factory=list)
    held: List[str] = field(default_factory=list)
    left_out: List[str] = field(default_factory=list)
    problem: Optional[Problem] = None


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
    for line in _lines(path, folder, found, 0):
        name = _NAME.match(line)
        if name and is_protected(name.group(1)):
            short = canonical(name.group(1))
            if short in installed:
                found.held.append(line)
                continue
            if short not in _HARMLESS_IF_ABSENT:
                found.left_out.append(line)
                continue
        found.lines.append(line)
    return found


def constraints(packages: Mapping[str, str], ui_home: Path) -> List[str]:
    """What every resolution must keep: the installed torch family exactly, ComfyUI's own requirements as they are."""
    lines = ["%s==%s" % item for item in sorted(protected(packages).items())]
    own = ui_home / "requirements.txt"
    if own.is_file():
        lines += [line for line in read_requirements(own, ui_home, packages).lines if _SIMPLE.match(line)]
    return lines


def never(packages: Mapping[str, str]) -> List[str]:
    """Overrides that take the torch family out of a resolution which cannot see that it is installed."""
    return ["%s ; sys_platform == 'never'" % name for name in sorted(protected(packages))]


def decode(raw: bytes) -> str:
    """The text of a requirements file: by its byte order mark, else UTF-8, else Latin-1."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _lines(path: Path, folder: Path, found: Requirements, depth: int) -> List[str]:
    """The logical lines of a file and of the files that it names."""
    text = re.sub(r"\\\r?\n", " ", decode(path.read_bytes()))
    lines: List[str] = []
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        line = re.sub(r"\s--hash[= ]\S+", "", line)
        if line:
            lines += _logical(line, path, folder, found, depth)
    return lines


def _logical(line: str, path: Path, folder: Path, found: Requirements, depth: int) -> List[str]:
    option, _, value = line.replace("=", " ", 1).partition(" ") if line.startswith("-") else ("", "", "")
    value = value.strip()
    if option in ("-r", "--requirement") or line.startswith("-r"):
        return _nested(value or line[2:].strip(), path, folder, found, depth)
    if option in ("-e", "--editable"):
        return ["-e %s" % _local(value, folder)]
    if line.startswith("-"):
        return [line] if option in _KEPT_OPTIONS else []
    return [_local(line, folder)] if line.startswith(("./", "../")) or line == "." else [line]


def _nested(name: str, path: Path, folder: Path, found: Requirements, depth: int) -> List[str]:
    target = os.path.realpath(str(path.parent / name))
    if not target.startswith(os.path.realpath(str(folder)) + os.sep) or not os.path.isfile(target) or depth >= _DEEPEST:
        found.problem = _bad("%s names %s, which is not a file of the pack." % (path.name, name))
        return []
    return _lines(Path(target), folder, found, depth + 1)


def _local(value: str, folder: Path) -> str:
    """A path in a requirements file is relative to the pack."""
    return str((folder / value).absolute()) if value.startswith(".") else value


def _bad(message: str) -> Problem:
    return Problem("bad_requirement", message, "Tell the pack's author.")


def changes(output: str) -> List[Dict[str, Any]]:
    """The plan in uv's own lines (`+ name==new`, `- name==old`), as changes of packages: {package, old, new}."""
    old: Dict[str, str] = {}
    new: Dict[str, str] = {}
    for sign, name, version in re.findall(r"^ ([-+~]) ([A-Za-z0-9._-]+)(?:==| @ )(\S+)", output, re.MULTILINE):
        (old if sign == "-" else new)[name] = version
    names = sorted({*old, *new})
    return [{"package": name, "old": old.get(name), "new": new.get(name)} for name in names]
