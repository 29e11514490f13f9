"""Bringing a pack of ComfyUI's registry back to what it was before a run. It has no commit: its files are compared with
what the run noted of them, and the version that it replaced was kept aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Optional, Set

from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.files.move import move
from app.runner.packs import manager_copies, movable
from app.runner.packs.installed import TRACKING, is_registry_copy, is_there
from app.runner.rollback.record import Record
from app.runner.rollback.worktree_state import WorktreeState, files_state

REMOVED = "rolled_back"
_LOCAL = "The pack was changed after the run. It was left untouched."
_HINT = "If a later run changed it, roll that one back first; otherwise look at %s yourself."


class RegistryPackWay:
    """One pack's way back."""

    def __init__(self, context: Context, record: Record, pack: Mapping[str, Any]) -> None:
        self._context, self._pack, self._swept = context, pack, record.swept
        self._folder: Path = context.custom_nodes / pack["folder"]
        self._before: WorktreeState = pack.get("files") or {}
        after = record.packs_after.get(pack["name"], {}).get("files")
        self._after: Optional[WorktreeState] = after
        self._replaced = manager_copies.replaced(record.task, pack["name"])

    def restore(self) -> Optional[Problem]:
        """None where it is as it was; as `restore_packs` says otherwise. Raises OSError, RunCancelled."""
        if self._replaced is not None:
            return self._restore_replaced(self._replaced)
        return None if self._pack["there"] else self._remove()

    def _remove(self) -> Problem:
        gone = Problem(REMOVED, "It did not exist before the run, and was removed again.")
        if not is_there(self._folder):
            return gone
        problem = movable.cannot_be_moved(self._context.custom_nodes, self._folder)
        if problem is not None:
            return problem
        own = self._changed() if is_registry_copy(self._folder) else {"."}
        if own:
            text = "Its folder has files that are not as the run left them (%s). It was left untouched."
            return self._local(text % ", ".join(sorted(own)[:3]))
        if self._swept and set(files_state(self._folder)) - self._listed():
            aside = manager_copies.aside_for(self._context, self._folder, "rolled_back")
            move(self._folder, aside)
            text = "%s: The run was killed, so it is not known who made the files in its folder. They are kept in %s."
            where = aside.relative_to(self._context.custom_nodes).as_posix()
            hint = "Delete that folder when you no longer need it."
            self._context.warn("kept_aside", text % (self._pack["name"], where), hint)
            return gone
        movable.remove(self._context, self._folder)
        return gone

    def _restore_replaced(self, copy: manager_copies.Replaced) -> Optional[Problem]:
        """What the run put aside is there again, with the user's files that went along to its successor."""
        given = Problem(REMOVED, "What was there before the run is back.")
        restored, aside = self._context.custom_nodes / copy.name, self._context.custom_nodes / copy.aside
        if not aside.is_dir():
            if is_there(restored) and files_state(restored) == self._before:
                return given
            text = "What was there before the run is no longer in custom_nodes/%s." % copy.aside
            return Problem("cannot_roll_back", text, "Install it again, with ComfyUI-Manager or from the list.")
        if is_there(self._folder):
            problem = movable.cannot_be_moved(self._context.custom_nodes, self._folder)
            if problem is not None:
                return problem
            listed = self._listed()
            if not is_registry_copy(self._folder) or self._changed() & listed:
                return self._local(_LOCAL)
            own = self._changed()
            besides = set(files_state(self._folder)) - listed
            theirs = {path for path in besides if path in self._before or path in own}
            manager_copies.restore_copy(self._folder, aside, sorted(theirs), own)
            movable.remove(self._context, self._folder)
        move(aside, restored)
        return given

    def _changed(self) -> Set[str]:
        """The files that are not as the run left them. Where nobody noted how it did: those that it has not brought."""
        now = files_state(self._folder)
        if self._after is None:
            return set(now) - self._listed()
        return {path for path, look in now.items() if self._after.get(path) != look}

    def _listed(self) -> Set[str]:
        text = (self._folder / TRACKING).read_text("utf-8", "replace") if is_registry_copy(self._folder) else ""
        return {*text.split("\n"), TRACKING}

    def _local(self, text: str) -> Problem:
        return Problem("local_changes", text, _HINT % self._folder)
