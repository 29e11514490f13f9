"""An earlier commit of a pack with which it loads: of the two years before the one that is there, the newest.

Its history comes into a repository of its own, so that the pack's folder stays as it is. ComfyUI is started in a folder
that has links to everything in its own, but for that pack.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from app.runner.context import Context
from app.runner.machine.git import Git
from app.runner.packs.checkout import update_submodules
from app.runner.policies.prestartup import Prestartups
from app.runner.repair.symptoms import Symptom
from app.runner.repair.trials import Trials

_SECONDS = 2 * 365 * 86_400
_MOST_COMMITS = 4000
_SMALL = 1 << 20


class Commits:
    """Of one pack. `moved`: the folders of the packs for which another commit was found already."""

    def __init__(self, context: Context, trials: Trials, symptom: Symptom, moved: Sequence[str]) -> None:
        self._context = context
        self._trials = trials
        self._symptom = symptom
        self._moved = moved
        self._home = trials.place / "home"
        self._pack = trials.place / "packs" / symptom.folder
        self.became = "there are none of the two years before it"
        """What became of the search, in words, where it found none."""

    def search(self) -> Optional[str]:
        """The newest commit with which the pack loads alone; None for none. By bisection: the oldest of the two years
        has to load. Raises RunCancelled, OutOfTime, OSError."""
        git = self._trials.git()
        with self._trials.budget.kept():
            commits = self._history(git)
        if not commits:
            return None
        if not self._loads(git, commits[-1]):
            middle = commits[len(commits) // 2]
            if len(commits) < 3 or not self._loads(git, middle):
                self.became = "it does not load at %s, of %d commits of the two years before it, either" % (
                    " nor at ".join(each[:10] for each in dict.fromkeys([commits[-1], middle])),
                    len(commits),
                )
                return None
            commits = commits[: len(commits) // 2 + 1]
        bad, good = -1, len(commits) - 1  # the one that is there is bad
        while good - bad > 1:
            middle_at = (good + bad) // 2
            if self._loads(git, commits[middle_at]):
                good = middle_at
            else:
                bad = middle_at
        return commits[good]

    def all_loads(self, commit: str) -> Dict[str, bool]:
        """Whether each pack loads beside it. Raises as `search`."""
        self._check_out(self._trials.git(), commit)
        return self._trials.all_loads(home=self._made_home([*self._moved, self._symptom.folder]))

    def home_of_moved(self) -> Optional[Path]:
        """ComfyUI's folder with the packs that were moved until now; None where none was. Raises OSError."""
        return self._made_home(self._moved) if self._moved else None

    def _history(self, git: Git) -> List[str]:
        """Newest first, without the one that is there. Its own repository is not changed."""
        folder, commit = self._symptom.result.folder, self._symptom.result.commit
        told = git.line("show", "-s", "--format=%ct", "HEAD", cwd=folder)
        if not told or not told.isdigit() or not commit:
            return []
        since = int(told) - _SECONDS
        if not self._fetched(git, commit, since):
            self.became = "its history could not be fetched"
            return []
        said = git.line("log", "--first-parent", "--format=%H %ct", "-n", str(_MOST_COMMITS), commit, cwd=self._pack)
        rows = [line.split() for line in (said or "").splitlines()]
        return [row[0] for row in rows if len(row) == 2 and row[1].isdigit() and int(row[1]) >= since][1:]

    def _fetched(self, git: Git, commit: str, since: int) -> bool:
        """Without the files' contents where the server can leave them out; those are fetched when they are needed."""
        shutil.rmtree(str(self._pack), ignore_errors=True)
        self._pack.mkdir(parents=True)
        url = self._symptom.result.pack.repo_url
        setup = (("init", "-q"), ("remote", "add", "origin", url))
        if not all(git.local(*words, cwd=self._pack).ok for words in setup):
            return False
        for how in (
            ("--filter=blob:none", "--shallow-since=%d" % since),
            ("--shallow-since=%d" % since,),
            ("--depth=200",),
        ):
            if git.network("fetch", "-q", *how, "origin", commit, cwd=self._pack).ok:
                return True
        return False

    def _loads(self, git: Git, commit: str) -> bool:
        if not self._check_out(git, commit):
            return False
        said = self._trials.loads([self._symptom.folder], home=self._made_home([*self._moved, self._symptom.folder]))
        found = said.get(self._symptom.folder)
        return found is not None and found.good

    def _check_out(self, git: Git, commit: str) -> bool:
        """Not what a pack's import left of another one."""
        with self._trials.budget.kept():
            done = git.network("checkout", "-q", "--force", "--detach", commit, cwd=self._pack).ok
            done = done and git.local("clean", "-q", "-ffdx", cwd=self._pack).ok
            if done and (self._pack / ".gitmodules").exists():
                done = update_submodules(git, self._pack).ok
        self._context.own(self._pack)
        return done and Prestartups.of(self._context).may_run(self._symptom.name, self._pack)

    def _made_home(self, moved: Sequence[str]) -> Path:
        """ComfyUI's folder, with these packs as they are checked out: its own files are copies, since they look for
        others beside themselves; the rest links."""
        real, home = self._context.ui_home, self._home
        shutil.rmtree(str(home), ignore_errors=True)
        (home / "custom_nodes").mkdir(parents=True)
        base = self._context.layout.base
        of_base = list(base.iterdir()) if base else []
        brought = {path.name for path in of_base}
        for path in (*of_base, *(each for each in real.iterdir() if each.name not in brought)):
            if path.name in ("custom_nodes", "__pycache__", ".git"):
                continue
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _SMALL:
                shutil.copy2(str(path), str(home / path.name))
            else:
                os.symlink(str(path), str(home / path.name))
        own = {name: self._trials.place / "packs" / name for name in moved}
        for path in self._context.custom_nodes.iterdir():
            if not path.name.startswith(".") and path.name not in own:
                os.symlink(str(path), str(home / "custom_nodes" / path.name))
        for folder, path in own.items():
            if path.is_dir():
                os.symlink(str(path), str(home / "custom_nodes" / folder))
        return home
