"""The rollback record: what was there before a run, and after it, in the run's own folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from app.protocol import events
from app.protocol.events import Kind, Source
from app.protocol.manifest import NodePack
from app.runner.context import Context
from app.runner.daemon.journal import replace_file
from app.runner.daemon.places import Task
from app.runner.machine import interpreter
from app.runner.packages.plan import Change
from app.runner.packages.requirement_files import canonical

_PACKS, _BEFORE, _AFTER = "packs-before.json", "packages-before.json", "packages-after.json"
_MARK = "NODEFERRY_FREEZE "
_SCRIPT = r"""
import json, sys
from importlib import metadata
found = {}
for dist in metadata.distributions():
    name = dist.metadata["Name"]
    if name and name not in found:
        address = dist.read_text("direct_url.json")
        found[name] = [dist.version, json.loads(address) if address else None]
print("\n" + sys.argv[1] + json.dumps(found))
"""
_SECONDS = 60.0

Freeze = Dict[str, Change]
"""Canonical names, and what is installed: its `new` is its version."""


def note_packs(context: Context, packs: Sequence[NodePack]) -> None:
    """What is in the packs' folders, before anything is cloned. Raises OSError, RunCancelled."""
    git = context.git()
    noted = []
    for pack in packs:
        folder = context.custom_nodes / pack.folder
        commit = git.head(folder)
        branch = git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=folder) if commit else None
        tracked = "refs/remotes/origin/%s" % branch
        remote = git.line("rev-parse", "--verify", "-q", tracked, cwd=folder) if branch else None
        there = folder.is_dir() and any(folder.iterdir())
        state = {"there": there, "commit": commit, "branch": branch, "remote": remote}
        noted.append({**pack.to_json(), **state})
    _write(context.task, _PACKS, {"ui_home": str(context.ui_home), "packs": noted})


def note_packages(context: Context, *, after: bool = False) -> None:
    """What is installed in ComfyUI's environment. That it cannot be noted is told, and stops nothing."""
    if not context.python:
        return
    executable = context.python["executable"]
    try:
        raw = ask(executable)
    except OSError as exc:
        context.warn("no_rollback_record", "What is installed could not be noted for a rollback: %s" % exc)
        return
    _write(context.task, _AFTER if after else _BEFORE, {"executable": executable, "packages": raw})


def ask(executable: str) -> Dict[str, Any]:
    """The interpreter's packages: version and origin by name. Not a child of the run: it is asked after a cancel too.
    Raises OSError when it does not answer."""
    output = interpreter.execute([executable, "-c", _SCRIPT, _MARK], _SECONDS)
    at = output.rfind(_MARK)
    try:
        found, _ = json.JSONDecoder().raw_decode(output, at + len(_MARK)) if at >= 0 else (None, 0)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OSError(0, "%s does not say what is installed" % executable)
    return found


def freeze_of(raw: Mapping[str, Any]) -> Freeze:
    """The packages by their one name."""
    found: Freeze = {}
    for name, (version, origin) in raw.items():
        found[canonical(name)] = Change(name, None, str(version), _source(origin))
    return found


def _source(origin: Optional[Mapping[str, Any]]) -> Optional[str]:
    """Where it came from, as a requirement's address; None for the registry (and for what is no address any more)."""
    if not origin or (origin.get("dir_info") or {}).get("editable"):
        return None
    revision = origin.get("vcs_info")
    if revision:
        return "%s+%s@%s" % (revision.get("vcs", "git"), origin["url"], revision.get("commit_id", ""))
    return str(origin["url"])


class Record:
    """What an earlier run noted. Raises OSError or ValueError where it noted nothing."""

    def __init__(self, task: Task) -> None:
        self._task = task
        noted = self._read(_PACKS) or {}
        self.ui_home: Optional[str] = noted.get("ui_home")
        self.packs: List[Dict[str, Any]] = noted.get("packs") or []
        before = self._read(_BEFORE)
        self.executable: Optional[str] = before["executable"] if before else None
        self.before: Optional[Freeze] = freeze_of(before["packages"]) if before else None

    def _read(self, name: str) -> Optional[Dict[str, Any]]:
        try:
            found = json.loads((self._task.folder / name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return found if isinstance(found, dict) else None

    @property
    def exists(self) -> bool:
        """Whether the run noted anything: one that ended before it looked at the packs changed nothing."""
        return self.ui_home is not None

    def touched(self) -> Set[str]:
        """The packages that the run changed: by its notes; if it was killed before the last one, by its plans."""
        after = self._read(_AFTER)
        before = self.before or {}
        if after:
            now = freeze_of(after["packages"])
            return {name for name in {*before, *now} if before.get(name) != now.get(name)}
        plans = [event["changes"] for event in self._events() if event.kind is Kind.PLAN]
        return {canonical(change["package"]) for changes in plans for change in changes}

    def commits(self) -> Dict[str, str]:
        """The commits that the run left the packs at."""
        told = [event for event in self._events() if event.kind is Kind.NODE and event.get("commit")]
        return {event["name"]: event["commit"] for event in told}

    def _events(self) -> List[events.Event]:
        lines = self._task.journal.read_bytes().split(b"\n")[:-1] if self._task.journal.exists() else []
        return [events.decode(line, Source.JOURNAL) for line in lines if line]


def _write(task: Task, name: str, content: Mapping[str, Any]) -> None:
    replace_file(Path(task.folder / name), json.dumps(content).encode("ascii"))
