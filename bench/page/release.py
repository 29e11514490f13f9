"""The tree of an earlier release: a git worktree in the bench's own folder, run with this checkout's environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from test.support.service import ROOT

OLD = "7f86b61"
_HASH = "from app.remote.packer import pack_runner; print(pack_runner().sha256)"


@dataclass(frozen=True, slots=True)
class Release:
    """A checkout. `path`: of a run's page, before its id; `runner_sha256`: empty for this checkout's."""

    name: str
    tree: Path
    path: str
    runner_sha256: str = ""


def current() -> Release:
    """This checkout."""
    has_run_pages = (ROOT / "app" / "webui" / "templates" / "run.html").exists()
    return Release("now", ROOT, "/ui/run/" if has_run_pages else "/ui/task/")


@contextmanager
def old(folder: Path) -> Iterator[Release]:
    """Release 7f86b61, for the block. Raises CalledProcessError where git does not have it."""
    tree = folder / "release"
    _git("worktree", "add", "--quiet", "--detach", str(tree), OLD)
    try:
        said = subprocess.run([sys.executable, "-c", _HASH], cwd=tree, check=True, capture_output=True, text=True)
        yield Release(OLD, tree, "/ui/task/", said.stdout.strip())
    finally:
        _git("worktree", "remove", "--force", str(tree))


def _git(*words: str) -> None:
    subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True)
