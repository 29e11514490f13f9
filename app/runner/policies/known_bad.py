"""What nobody installs, whatever the policies say: the published cases, and those of the service's own list."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Iterator, Optional

from app.protocol.known_bad import KnownBad, KnownBads, read_known_bad
from app.protocol.known_bad_list import PUBLISHED
from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.runner.context import Context

_LOOKED_AT = (".py", ".whl", ".pth", ".sh", ".so", ".exe", ".zip", ".gz")
_MOST_FILES = 3000
_MOST_BYTES = 256 * 1024 * 1024


def known_bads(context: Context) -> KnownBads:
    """The run's list."""
    found = context.shared.get("known_bads")
    if not isinstance(found, KnownBads):
        own = read_known_bad(context.request.get("known_bad") or [])
        found = context.shared["known_bads"] = KnownBads([*PUBLISHED, *own])
    return found


def problem_of_pack(context: Context, pack: NodePack) -> Optional[Problem]:
    """Why a pack of the list is not brought at all."""
    known = known_bads(context)
    names = (pack.name, pack.folder.rpartition("/")[2])
    found = known.of_address(pack.repo_url) or next(filter(None, map(known.of_pack, names)), None)
    found = found or (known.of_hash(pack.ref) if pack.ref else None)
    return found.problem(pack.name) if found else None


def problem_of_checkout(context: Context, name: str, commit: Optional[str], folder: Path) -> Optional[Problem]:
    """Why what has come is not put in place."""
    known = known_bads(context)
    found = known.of_hash(commit) if commit else None
    if found:
        return found.problem("The commit %s of %s" % ((commit or "")[:12], name))
    for path in _files(folder):
        case = of_file(context, path)
        if case:
            return case.problem("%s of %s" % (path.relative_to(folder), name))
    return None


def of_file(context: Context, path: Path) -> Optional[KnownBad]:
    """The case of a file by what is in it; None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(str(path), "rb") as file:
            for piece in iter(lambda: file.read(1 << 20), b""):
                digest.update(piece)
    except OSError:
        return None
    return known_bads(context).of_hash(digest.hexdigest())


def warn_of_packages(context: Context) -> None:
    """Tells of installed packages that are known to be malicious: they were there before."""
    for name, version in sorted(context.packages.items()):
        found = known_bads(context).of_package(name, version)
        if found:
            problem = found.problem("The installed package %s %s" % (name, version))
            context.warn("known_bad_present", problem.message, problem.hint)


def warn_of_folder(context: Context, name: str, address: str) -> bool:
    """Tells of a folder in custom_nodes that is known to be malicious; whether it is."""
    known = known_bads(context)
    found = known.of_pack(name) or (known.of_address(address) if address else None)
    if found is None:
        return False
    problem = found.problem("custom_nodes/%s" % name)
    text = "%s It was there before, was left untouched, and was not imported." % problem.message
    context.warn("known_bad_present", text, problem.hint)
    return True


def _files(folder: Path) -> Iterator[Path]:
    """The plain files that could run, of very many the first."""
    left, size = _MOST_FILES, _MOST_BYTES
    for above, folders, names in os.walk(str(folder)):
        folders[:] = sorted(each for each in folders if each != ".git")
        for name in sorted(each for each in names if each.endswith(_LOOKED_AT)):
            path = Path(above, name)
            if path.is_symlink() or not path.is_file():
                continue
            left, size = left - 1, size - path.stat().st_size
            if left < 0 or size < 0:
                return
            yield path
