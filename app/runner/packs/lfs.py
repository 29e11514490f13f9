"""Files of a pack that git keeps elsewhere (Git LFS): what was cloned of them is a note of three lines, a pointer.

Clones leave them out, so that a model does not hold up everything else. Where git-lfs is installed they are fetched
once the pack is there, unless the login has switched that off (GIT_LFS_SKIP_SMUDGE) or they are large. What is not
fetched is told with the pack. Source of the format: docs/spec.md of git-lfs.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Sequence

from app.protocol.amounts import size
from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.hints import reasons
from app.runner.machine.git import Git

_BEGINS = b"version https://git-lfs.github.com/spec/"
_SIZE = re.compile(rb"^size (\d{1,15})$", re.MULTILINE)
_LONGEST = 1024
_SHORTEST = 60
_ADDRESSES = r"^(lfs\.url|lfs\.pushurl|lfs\..*\.url|remote\..*\.lfsurl|remote\.lfsurl)$"
_MOST_ENTRIES = 20_000
_MOST_NAMED = 4
_MOST_BYTES = 2 * 1024**3
_LEFT_FREE = 1024**3
_HINT = "In the pack's folder on the instance: git lfs pull (apt-get install -y git-lfs brings git-lfs)."


@dataclass(frozen=True)
class Pointer:
    """A file that is not there: its path in the pack, and its size in bytes."""

    path: str
    size: int


def settle(context: Context, result: PackResult) -> None:
    """Fetches what can be had; what is missing then becomes `result.incomplete`. Raises OSError, RunCancelled."""
    pointers = find(result.folder)
    if not pointers:
        return
    total = sum(pointer.size for pointer in pointers)
    keeps = result.kept or context.options.plan_only
    why = "the pack was kept as it is" if keeps else _fetched(context, result, total)
    missing = find(result.folder)
    if missing:
        result.pointers = tuple(pointer.path for pointer in missing)
        result.incomplete = _problem(missing, why)


def find(pack: Path) -> List[Pointer]:
    """The pointers in a pack's folder, by path; of at most 20,000 files."""
    found = []
    for path in _small_files(str(pack)):
        try:
            with open(path, "rb") as file:
                text = file.read(_LONGEST)
        except OSError:
            continue
        told = _SIZE.search(text)
        if text.startswith(_BEGINS) and told:
            found.append(Pointer(os.path.relpath(path, str(pack)), int(told.group(1))))
    return sorted(found, key=lambda pointer: pointer.path)


def _small_files(folder: str) -> Iterator[str]:
    """Those that are as long as pointers are, links left out."""
    waiting, seen = [folder], 0
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False) and entry.name != ".git":
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) and _SHORTEST <= entry.stat().st_size <= _LONGEST:
                        yield entry.path
        except OSError:
            continue
        if seen > _MOST_ENTRIES:
            return


def _fetched(context: Context, result: PackResult, total: int) -> str:
    """Has git fetch them; why that was not done or did not work, empty for done."""
    if os.environ.get("GIT_LFS_SKIP_SMUDGE", "").lower() in ("1", "true", "yes"):
        return "GIT_LFS_SKIP_SMUDGE is set on the instance"
    git = context.git(context.task.node_log(result.pack.name))
    refused = _refused_address(git, result.folder)
    if refused:
        return refused
    if not git.local("lfs", "version", cwd=result.folder).ok:
        return "git-lfs is not installed"
    if total > _MOST_BYTES:
        return "they are large, %s" % size(total)
    if shutil.disk_usage(str(result.folder)).free < total * 2 + _LEFT_FREE:  # git keeps a copy of each
        return "the disk has no room for them"
    # in the pack's own configuration: without the filter git would call each fetched file changed
    finished = git.local("lfs", "install", "--local", "--skip-smudge", "--skip-repo", cwd=result.folder)
    finished = git.network("lfs", "pull", cwd=result.folder) if finished.ok else finished
    context.own(result.folder)
    return "" if finished.ok else reasons.of_git(finished).message.rstrip(".")


def _refused_address(git: Git, pack: Path) -> str:
    """Why files may not come from where the pack says; git-lfs knows nothing of the schemes that git may use."""
    for where in (("--file", ".lfsconfig"), ()):
        said = git.ask("config", "-z", *where, "--get-regexp", _ADDRESSES, cwd=pack) or b""
        for entry in said.split(b"\0"):
            scheme, found, _ = os.fsdecode(entry).partition("\n")[2].partition("://")
            if found and scheme.lower() not in git.schemes:
                words = "its address for them is of a scheme that NODEFERRY_ALLOWED_GIT_SCHEMES does not allow, %.40s"
                return words % scheme
    return ""


def _problem(missing: Sequence[Pointer], why: str) -> Problem:
    named = ", ".join("%.120s (%s)" % (pointer.path, size(pointer.size)) for pointer in missing[:_MOST_NAMED])
    more = " and %d more" % (len(missing) - _MOST_NAMED) if len(missing) > _MOST_NAMED else ""
    text = "Files of the pack were not fetched from Git LFS, only the notes in their place: %s%s%s."
    return Problem("lfs_pointers", text % (named, more, " (%s)" % why if why else ""), _HINT)
