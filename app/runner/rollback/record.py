"""The rollback record: what was there before a run, and after it, in the run's own folder."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from app.protocol import events
from app.protocol.event_body import Body
from app.protocol.events import NodeChanged, PackagesPlanned, PhaseChanged, ScriptChanged
from app.protocol.manifest import NodePack
from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.daemon.run_files import replace_file
from app.runner.environment.environment import Environment
from app.runner.environment.freeze import Freeze, freeze_of, to_record
from app.runner.environment.inspection import inspect, inspect_again
from app.runner.environment.transaction import recover
from app.runner.machine.git import Git, find_git
from app.runner.packs.installed import is_registry_copy
from app.runner.process.children import Children
from app.runner.process.errors import RunFault
from app.runner.process.limits import RunLimits
from app.runner.process.locks import try_lock
from app.runner.process.paths import Task, ui_home_lock
from app.runner.requirements.lines import canonical
from app.runner.rollback.worktree_state import WorktreeState, files_state, worktree_state

_PACKS, _PACKS_AFTER = "packs-before.json", "packs-after.json"
_BEFORE, _AFTER = "packages-before.json", "packages-after.json"
_AFTER_SECONDS, _AFTER_DEATH_SECONDS = 60.0, 20.0
_AT_ONCE = 8


def note_packs(context: Context, packs: Sequence[NodePack]) -> None:
    """What is in the packs' folders, before anything is cloned. Raises OSError, RunCancelled."""
    git = context.git()

    def note(pack: NodePack) -> Dict[str, Any]:
        folder = context.custom_nodes / pack.folder
        state = _state_of(git, folder)
        if pack.registry_id and is_registry_copy(folder):
            state["files"] = files_state(folder)
        return {**pack.to_json(), **state}

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="note") as pool:
        noted = list(pool.map(note, packs))
    folders = {"ui_home": context.ui_home, "base": context.base, "custom_nodes": context.custom_nodes}
    _note(context, _PACKS, {**{name: str(path) for name, path in folders.items()}, "packs": noted})


def _state_of(git: Git, folder: Path) -> Dict[str, Any]:
    commit = git.head(folder)
    branch = git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=folder) if commit else None
    tracked = "refs/remotes/origin/%s" % branch
    remote = git.line("rev-parse", "--verify", "-q", tracked, cwd=folder) if branch else None
    present = folder.is_dir() and any(folder.iterdir())
    return {
        "there": present,
        "commit": commit,
        "branch": branch,
        "remote": remote,
        "files": _worktree_state(git, folder, commit),
    }


def _worktree_state(git: Git, folder: Path, commit: Optional[str]) -> Optional[WorktreeState]:
    """None where git does not know: then nothing in that folder is taken for the run's."""
    try:
        return worktree_state(git, folder) if commit else None
    except OSError:
        return None


def note_packs_after(task: Task, git: Git, *, swept: bool = False) -> None:
    """How the run left the packs' folders. `swept`: it is noted by others, after the run was killed. Raises OSError,
    RunCancelled."""
    record = Record(task)
    if not record.exists:
        return
    root = record.custom_nodes

    def note(pack: Mapping[str, Any]) -> Dict[str, Any]:
        folder = root / pack["folder"]
        commit = git.head(folder)
        if pack.get("registry_id") and is_registry_copy(folder):
            return {"commit": None, "files": files_state(folder)}
        return {"commit": commit, "files": _worktree_state(git, folder, commit)}

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="note") as pool:
        noted = dict(zip([pack["name"] for pack in record.packs], pool.map(note, record.packs)))
    _write(task, _PACKS_AFTER, {"swept": swept, "packs": noted})


def note_after_death(task: Task) -> None:
    """What a killed run left, noted by its sweep: what is changed later is not the run's. Not while another run works
    there. What cannot be noted is left out: a rollback then knows less, and leaves more alone."""
    try:
        record = Record(task)
        if not record.exists or (task.folder / _PACKS_AFTER).exists():
            return
        lock = try_lock(ui_home_lock(Path(str(record.ui_home))))
        if lock is None:
            return
        try:
            git = Git(Children(task.task_id, task.groups, threading.Event()), find_git(), RunLimits())
            note_packs_after(task, git, swept=True)
            if record.executable and record.before is not None:
                now = inspect(record.executable, seconds=_AFTER_DEATH_SECONDS)
                if recover(now):  # it was killed while it changed packages
                    now = inspect(record.executable, seconds=_AFTER_DEATH_SECONDS)
                _write(task, _AFTER, {**_recorded(now), "swept": True})
        finally:
            os.close(lock)
    except (OSError, ValueError, KeyError, RunFault):
        return


def note_packages_before(context: Context) -> None:
    """What is installed in ComfyUI's environment before the run changes it. Raises OSError."""
    if context.environment:
        _note(context, _BEFORE, _recorded(context.environment))


def note_packages_after(context: Context) -> None:
    """What the run leaves installed; not by a child of the run, since it is noted after a cancel too. That it cannot be
    inspected is told, and stops nothing. Raises OSError where it cannot be written."""
    known = context.environment
    if not known or not (context.task.folder / _BEFORE).exists():
        return
    try:
        context.environment = context.unchanged() or inspect_again(known, seconds=_AFTER_SECONDS)
    except OSError as exc:
        context.environment = replace(known, distributions={})  # not known any more
        context.warn(
            "no_rollback_record",
            "The installed packages could not be recorded, so this run cannot be rolled back fully: %s" % exc,
        )
        return
    _write(context.task, _AFTER, _recorded(context.environment))


def _recorded(environment: Environment) -> Dict[str, Any]:
    return {"executable": environment.executable, "packages": to_record(environment)}


class Record:
    """What an earlier run noted. Raises OSError or ValueError where it noted nothing."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._told: Optional[List[Body]] = None
        noted = self._read(_PACKS) or {}
        self.ui_home: Optional[str] = noted.get("ui_home")
        self.base: Optional[str] = noted.get("base")
        self._custom_nodes: Optional[str] = noted.get("custom_nodes")
        self.packs: List[Dict[str, Any]] = noted.get("packs") or []
        before, after = self._read(_BEFORE), self._read(_AFTER)
        self.executable: Optional[str] = before["executable"] if before else None
        self.before: Optional[Freeze] = freeze_of(before["packages"]) if before else None
        self.after: Optional[Freeze] = freeze_of(after["packages"]) if after else None
        """None where the run was killed, and nobody looked since."""
        packs = self._read(_PACKS_AFTER) or {}
        self.packs_after: Mapping[str, Mapping[str, Any]] = packs.get("packs") or {}
        self.swept = bool(packs.get("swept") or (after or {}).get("swept"))
        """What is noted of the end was noted after the run was killed: others may have been there meanwhile."""

    def _read(self, name: str) -> Optional[Dict[str, Any]]:
        try:
            found = json.loads((self.task.folder / name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return found if isinstance(found, dict) else None

    @property
    def custom_nodes(self) -> Path:
        """Where the run's packs are."""
        return Path(self._custom_nodes or os.path.join(str(self.ui_home), "custom_nodes"))

    @property
    def exists(self) -> bool:
        """Whether the run noted anything: one that ended before it looked at the packs changed nothing."""
        return self.ui_home is not None

    def touched(self) -> Set[str]:
        """The packages that the run changed: by its notes; if it was killed before it could note them, by its plans,
        and by what was noted of it once scripts ran, which install what no plan has."""
        before = self.before or {}
        known = self._events()
        planned = {
            canonical(change.package) for body in known if isinstance(body, PackagesPlanned) for change in body.changes
        }
        if self.after is None or (self.swept and not any(_runs_code(body) for body in known)):
            return planned
        return {name for name in {*before, *self.after} if before.get(name) != self.after.get(name)}

    def commit_after(self, name: str) -> Optional[str]:
        """The commit that the run left a pack at."""
        noted: Optional[str] = self.packs_after.get(name, {}).get("commit")
        told = [
            body.commit
            for body in self._events()
            if isinstance(body, NodeChanged) and body.commit and body.name == name
        ]
        return noted or (told[-1] if told else None)

    def made(self, pack: Mapping[str, Any]) -> WorktreeState:
        """The files that the run made in a pack's folder, or changed, as it left them."""
        before = pack.get("files") or {}
        after: WorktreeState = self.packs_after.get(pack["name"], {}).get("files") or {}
        return {path: look for path, look in after.items() if before.get(path) != look}

    def ran_script(self, name: str) -> bool:
        """Whether a pack's install.py was started."""
        scripts = (body for body in self._events() if isinstance(body, ScriptChanged) and body.name == name)
        return any(body.status is StepStatus.RUNNING for body in scripts)

    def _events(self) -> List[Body]:
        if self._told is None:
            lines = self.task.journal.read_bytes().split(b"\n")[:-1] if self.task.journal.exists() else []
            self._told = [events.decode(line).body for line in lines if line]
        return self._told


def _runs_code(body: Body) -> bool:
    """Whether packs' own code ran from then on."""
    if isinstance(body, ScriptChanged):
        return body.status is StepStatus.RUNNING
    return isinstance(body, PhaseChanged) and body.phase is Phase.VERIFY


def _write(task: Task, name: str, content: Mapping[str, Any]) -> None:
    replace_file(Path(task.folder / name), json.dumps(content).encode("ascii"))


def _note(context: Context, name: str, content: Mapping[str, Any]) -> None:
    """As `_write`, before packs' own code runs: it is kept as it was written."""
    _write(context.task, name, content)
    context.notes[context.task.folder / name] = json.dumps(content).encode("ascii")
