"""Bringing packs back to what they were before a run: exact commits, and copies of the registry where they were.

Nothing that is somebody's is lost. A folder that the run made goes when all in it is the repository's or the run's own.
Files that the run put into a folder that was there before are put aside, not removed. What was changed after the run
stays as it is, and is told.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Set

from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.files.move import move
from app.runner.hints import reasons
from app.runner.machine.git import Git
from app.runner.packs import existing, local_work, manager_copies, movable
from app.runner.packs.checkout import fetch_ref, update_submodules
from app.runner.packs.installed import is_there
from app.runner.rollback.record import Record
from app.runner.rollback.restore_registry_packs import REMOVED, RegistryPackWay
from app.runner.rollback.worktree_state import WorktreeState, changed, worktree_state

_LOCAL = "The pack was changed after the run. It was left untouched."
_LATER = "If a later run changed it, roll that one back first; otherwise %s."


def restore_packs(context: Context, record: Record) -> Dict[str, Optional[Problem]]:
    """How each pack is now: None when it is as it was; REMOVED when it was not there and is not; else what is in the
    way. Raises RunCancelled."""
    found: Dict[str, Optional[Problem]] = {}
    for pack in sorted(record.packs, key=lambda pack: -pack["folder"].count("/")):  # those in another's folder first
        try:
            way = RegistryPackWay if pack.get("registry_id") else _Way
            found[pack["name"]] = way(context, record, pack).restore()
        except OSError as exc:
            found[pack["name"]] = reasons.of_os(exc)
        except (ValueError, KeyError) as exc:
            found[pack["name"]] = Problem("cannot_roll_back", "The run's rollback record cannot be read: %s" % exc)
    return found


def stuck(found: Mapping[str, Optional[Problem]]) -> List[str]:
    """The packs that are not as they were."""
    return sorted(name for name, problem in found.items() if problem and problem.code != REMOVED)


class _Way:
    """One pack's way back."""

    def __init__(self, context: Context, record: Record, pack: Mapping[str, Any]) -> None:
        self._context = context
        self._swept = record.swept
        self._pack = pack
        self._folder: Path = context.custom_nodes / pack["folder"]
        self._git: Git = context.git(context.task.node_log(pack["name"]))
        self._commit_after = record.commit_after(pack["name"])
        self._known_after = pack["name"] in record.packs_after
        self._made = record.made(pack)
        self._ran_script = record.ran_script(pack["name"])
        self._replaced = manager_copies.replaced(record.task, pack["name"])

    def restore(self) -> Optional[Problem]:
        """As `restore_packs` describes. Raises OSError, RunCancelled."""
        existing.recover(self._git, self._folder)
        if self._replaced is not None:
            return self._restore_copy(self._replaced)
        if not self._pack["there"]:
            return self._remove()
        if self._pack["commit"] is None:
            return None  # nothing that is no repository is ever changed, but a copy of the registry
        return self._return()

    # -- what was not there --------------------------------------------------------------------------------------------

    def _remove(self) -> Problem:
        gone = Problem(REMOVED, "It did not exist before the run, and was removed again.")
        if not is_there(self._folder):
            return gone
        problem = movable.cannot_be_moved(self._context.custom_nodes, self._folder) or self._in_the_way()
        if problem is not None:
            return problem
        if self._swept and self._found():
            aside = manager_copies.aside_for(self._context, self._folder, "rolled_back")
            move(self._folder, aside)
            self._warn_put_aside(aside, "The run was killed, so it is not known who made the files in its folder")
        else:
            movable.remove(self._context, self._folder)
        return gone

    def _in_the_way(self) -> Optional[Problem]:
        """Why the folder that the run made may not go."""
        hint = _LATER % ("look at %s and delete it yourself" % self._folder)
        head = self._git.head(self._folder)
        if head is None or (head != self._commit_after and (self._commit_after is not None or self._known_after)):
            return Problem("local_changes", _LOCAL, hint)
        own = self._not_the_runs()
        if own:
            text = "Its folder has files that the run did not make (%s). It was left untouched." % ", ".join(
                sorted(own)[:3]
            )
            return Problem("local_changes", text, hint)
        return local_work.own_work(self._git, self._folder)

    def _found(self) -> WorktreeState:
        return worktree_state(self._git, self._folder)

    def _not_the_runs(self) -> Set[str]:
        return {path for path, look in self._found().items() if self._made.get(path) != look}

    # -- what was there ------------------------------------------------------------------------------------------------

    def _return(self) -> Optional[Problem]:
        head, before = self._git.head(self._folder), self._pack["commit"]
        hint = _LATER % ("check out commit %s yourself" % before)
        if head not in (before, self._commit_after):
            return Problem("local_changes", _LOCAL, hint)
        tracked = changed(self._git, self._folder)
        own = local_work.own_work(self._git, self._folder, stashes=False) if head != before else None
        if head != before and (self._not_the_runs() & tracked or own):
            return Problem("local_changes", _LOCAL, hint)
        if head != before or self._ran_script:
            self._put_made_aside(tracked)
        problem = self._check_out() if head != before else None
        if problem is None:
            self._names_again()
        return problem

    def _put_made_aside(self, tracked: Set[str]) -> None:
        """The files that the run put there, and that are as it left them. A tracked one gets its commit's content."""
        before = self._pack.get("files")
        if before is None:
            return
        now = self._found()
        made = [path for path, look in sorted(self._made.items()) if path not in before and now.get(path) == look]
        made = [path for path in made if not path.endswith(existing.BEFORE_REINSTALL)]
        if made:
            aside = manager_copies.aside_for(self._context, self._folder, "rolled_back")
            for path in made:
                if os.path.lexists(str(self._folder / path)):
                    (aside / path).parent.mkdir(parents=True, exist_ok=True)
                    move(self._folder / path, aside / path)
            restored = sorted(set(made) & tracked)
            if restored:
                self._git.local("checkout", "-q", "HEAD", "--", *restored, cwd=self._folder)
            if aside.exists():
                self._warn_put_aside(aside, "The run had put files into its folder")
        lost = sorted(path for path in self._made if path in before)
        if lost:
            text = "The run changed files in custom_nodes/%s that existed before (%s). They stay as they are."
            self._context.warn("files_changed", text % (self._pack["folder"], ", ".join(lost[:5])))

    def _warn_put_aside(self, aside: Path, why: str) -> None:
        where = os.path.relpath(str(aside), str(self._context.base))
        text = "%s: %s. They are kept in %s." % (self._pack["name"], why, where)
        self._context.warn("kept_aside", text, "Delete that folder when you no longer need it.")

    def _check_out(self) -> Optional[Problem]:
        git, folder, commit, branch = self._git, self._folder, self._pack["commit"], self._pack["branch"]
        if not git.local("cat-file", "-e", commit + "^{commit}", cwd=folder).ok:
            shallow = git.line("rev-parse", "--is-shallow-repository", cwd=folder) == "true"
            fetched = fetch_ref(git, commit, folder, shallow=shallow)
            if not fetched.ok:
                return reasons.of_git(fetched)
        where = ["-B", branch] if branch else ["--detach"]
        finished = git.local("checkout", "-q", *where, commit, cwd=folder)
        remote = self._pack.get("remote")
        if finished.ok and branch and remote:  # what the checkout knew of its remote, else it looks ahead of it
            git.local("update-ref", "refs/remotes/origin/%s" % branch, remote, cwd=folder)
        if finished.ok and (folder / ".gitmodules").exists():
            finished = update_submodules(git, folder)
        return None if finished.ok else reasons.of_git(finished)

    def _names_again(self) -> None:
        """The user's files that a reinstall had to keep beside the new version's."""
        for path in self._pack.get("files") or {}:
            sibling = self._folder / (path + existing.BEFORE_REINSTALL)
            if os.path.lexists(str(sibling)) and not os.path.lexists(str(self._folder / path)):
                move(sibling, self._folder / path)

    # -- copies of the registry ----------------------------------------------------------------------------------------

    def _restore_copy(self, copy: manager_copies.Replaced) -> Optional[Problem]:
        """The copy that the run put aside is there again, with the files that went along to its successor."""
        restored = self._context.custom_nodes / copy.name
        aside = self._context.custom_nodes / copy.aside
        given = Problem(REMOVED, "The copy that was there before the run is back.")
        if not aside.is_dir():
            if manager_copies.is_copy(restored) and not (is_there(self._folder) and self._folder != restored):
                return given
            text = "The copy that was there before the run is no longer in custom_nodes/%s." % copy.aside
            return Problem("cannot_roll_back", text, "Install it again, with ComfyUI-Manager or from its archive.")
        if self._folder != restored and is_there(restored):
            return Problem(
                "name_taken",
                "Something else created custom_nodes/%s again." % copy.name,
                "Move it away, then start again.",
            )
        if is_there(self._folder):
            nodes = self._context.custom_nodes
            problem = movable.cannot_be_moved(nodes, self._folder) or self._not_a_clone_of_ours()
            if problem is not None:
                return problem
            files = set(self._found()) - changed(self._git, self._folder)
            manager_copies.restore_copy(self._folder, aside, sorted(files), self._not_the_runs())
            movable.remove(self._context, self._folder)
        move(aside, restored)
        return given

    def _not_a_clone_of_ours(self) -> Optional[Problem]:
        head = self._git.head(self._folder)
        tracked = changed(self._git, self._folder) if head else set()
        if head is None or self._commit_after not in (None, head) or self._not_the_runs() & tracked:
            return Problem("local_changes", _LOCAL, _LATER % ("look at %s yourself" % self._folder))
        return local_work.own_work(self._git, self._folder)
