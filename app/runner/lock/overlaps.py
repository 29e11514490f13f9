"""Packages that have files of the same paths, and whose files those are: what a list of versions does not say.

Found from the packages' own lists of files, not from names. The lists are read as raw lines first: only packages that
share a path are looked at closely.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple

from app.protocol.lockfile import Overlap
from app.runner.environment.installed_files import InstalledFiles, find

CHANGED = ""
"""On top: a file that is none of its packages'."""
_AT_ONCE = 1 << 20


def overlaps_in(paths: Sequence[str]) -> List[Overlap]:
    """The packages in these folders (a Python's search path) that overlap, most files first. Files that are the same
    in each of their packages do not count."""
    packages = {name: each[0] for name, each in find([path for path in paths if path]).items()}
    sharing = _sharing(packages)
    owners: Dict[str, Dict[str, str]] = {}
    for name in sharing:
        for file in packages[name].files or ():
            if file.digest.startswith("sha256="):
                owners.setdefault(file.path, {})[name] = file.digest
    counted: Counter[Tuple[str, Tuple[str, ...]]] = Counter()
    examples: Dict[Tuple[str, Tuple[str, ...]], str] = {}
    for path, digests in sorted(owners.items()):
        if len(digests) < 2 or len(set(digests.values())) == 1:
            continue
        actual = _digest(path)
        tops = [name for name, digest in sorted(digests.items()) if digest == actual]
        top = tops[0] if tops else CHANGED
        key = top, tuple(sorted(name for name in digests if name != top))
        counted[key] += 1
        examples.setdefault(key, os.path.relpath(path, str(packages[next(iter(digests))].metadata.parent)))
    return [Overlap(top, beneath, number, examples[top, beneath]) for (top, beneath), number in counted.most_common()]


def _sharing(packages: Dict[str, InstalledFiles]) -> Set[str]:
    """The packages that list a path which another one lists."""
    first: Dict[bytes, str] = {}
    found: Set[str] = set()
    for name, package in packages.items():
        root = os.fsencode(str(package.metadata.parent)) + b"/"
        for path in _listed(package):
            key = root + path if not path.startswith(b"..") else os.path.normpath(root + path)
            other = first.setdefault(key, name)
            if other != name:
                found |= {other, name}
    return found


def _listed(package: InstalledFiles) -> Iterator[bytes]:
    """The paths of a RECORD, without a parser for what has no quotes; compiled files do not count."""
    try:
        raw = (package.metadata / "RECORD").read_bytes()
    except OSError:
        return
    own = os.fsencode(package.metadata.name)
    for line in raw.splitlines():
        path = line.split(b'"')[1] if line.startswith(b'"') else line.partition(b",")[0]
        if path and not path.endswith(b".pyc") and not path.startswith(own):
            yield path


def _digest(path: str) -> Optional[str]:
    """As RECORD has it; None for a file that cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while True:
                piece = file.read(_AT_ONCE)
                if not piece:
                    break
                digest.update(piece)
    except OSError:
        return None
    return "sha256=" + base64.urlsafe_b64encode(digest.digest()).decode("ascii").rstrip("=")


def not_as(wanted: Sequence[Overlap], now: Sequence[Overlap]) -> List[Overlap]:
    """The lock's overlaps that are not so here, those that lie beneath others first: installed again in this order,
    each package comes to lie where the lock has it."""
    wrong = [each for each in wanted if _files_on_top(each, now) < each.files]
    beneath: Dict[str, Set[str]] = {}
    for each in wanted:
        beneath.setdefault(each.on_top, set()).update(each.beneath)
    return sorted(wrong, key=lambda each: _height(each.on_top, beneath, frozenset()))


def _files_on_top(wanted: Overlap, now: Sequence[Overlap]) -> int:
    """How many of the files are those of the package that is to be on top; more packages may lie beneath it here."""
    return sum(
        each.files for each in now if each.on_top == wanted.on_top and set(each.beneath).issuperset(wanted.beneath)
    )


def is_mixed(overlap: Overlap, wanted: Sequence[Overlap]) -> bool:
    """Whether the package beneath is on top of most files: no order of installs brings that about."""
    return any(
        other.on_top in overlap.beneath and overlap.on_top in other.beneath and other.files > overlap.files
        for other in wanted
    )


def _height(name: str, beneath: Dict[str, Set[str]], above: frozenset[str]) -> int:
    """How many layers lie beneath a package."""
    lower = beneath.get(name, set()) - above - {name}
    return 1 + max(_height(each, beneath, above | {name}) for each in lower) if lower else 0


def in_words(wrong: Overlap, now: Sequence[Overlap]) -> str:
    """How a lock's overlap is here."""
    group = {wrong.on_top, *wrong.beneath}
    tops = [each.on_top for each in now if {each.on_top, *each.beneath} - {CHANGED} <= group]
    here = "%s's" % tops[0] if tops and tops[0] else "none of theirs"
    return "%s (%d files that %s share) is %s here, the lock has %s's" % (
        wrong.example or "a file",
        wrong.files,
        " and ".join(sorted(group)),
        here,
        wrong.on_top,
    )
