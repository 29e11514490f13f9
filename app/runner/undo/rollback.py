"""Bringing packages and packs back to what they were before a run: exact versions, exact commits.

What somebody changed after the run is not touched: a pack with changes of its own stays and is told, and so is a
package that the run had nothing to do with.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from app.protocol.events import Kind
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner.clone import existing
from app.runner.clone.checkout import fetch_ref, update_submodules
from app.runner.context import Context
from app.runner.daemon.faults import RunFault
from app.runner.daemon.locks import is_locked
from app.runner.daemon.places import Task
from app.runner.hints import reasons
from app.runner.machine.git import Git
from app.runner.packages.plan import Change, Plan, write_lines
from app.runner.packages.uv import Uv
from app.runner.undo.record import Freeze, Record, ask, freeze_of

REMOVED = "rolled_back"
_NOTED = ("there", "commit", "branch", "remote")
_LOCAL = "It was changed after the run; nothing was touched."


def record_of(task_id: str) -> Record:
    """What the run noted before it changed anything. Raises RunFault."""
    task = Task(task_id)
    if task.folder.is_dir() and is_locked(task.lock):
        raise RunFault("task_running", "The run that is to be undone still runs.", "Cancel it first.")
    try:
        record = Record(task)
    except (OSError, ValueError, KeyError) as exc:
        raise RunFault("nothing_to_roll_back", "The record of the run cannot be read: %s" % exc) from None
    if not record.exists:
        raise RunFault("nothing_to_roll_back", "That run changed nothing on this instance.")
    return record


def tell_manifest(context: Context, record: Record) -> None:
    """The packs of the run that is undone are this run's."""
    nodes = [{name: value for name, value in pack.items() if name not in _NOTED} for pack in record.packs]
    context.journal.tell(Kind.MANIFEST, source="rollback", nodes=nodes)


def bring_back_packages(context: Context, record: Record, uv: Optional[str]) -> None:
    """The packages that the run changed get their old versions. Raises RunFault when some cannot, RunCancelled."""
    if record.before is None or record.executable is None:
        context.phase(Phase.INSTALL, StepStatus.SKIPPED, "no package was changed")
        return
    now = freeze_of(ask(record.executable))
    before = record.before
    changes = _way_back(before, now, [name for name in record.touched() if before.get(name) != now.get(name)])
    if not changes:
        context.phase(Phase.INSTALL, StepStatus.SKIPPED, "no package was changed")
        return
    if uv is None:
        raise RunFault("no_installer", "Packages cannot be brought back without uv.", "Install uv on the instance.")
    context.phase(Phase.INSTALL, StepStatus.RUNNING)
    context.journal.tell(Kind.PLAN, changes=Plan("rollback", [], changes).to_json())
    python = {**context.python, "executable": record.executable}
    python.setdefault("prefix", str(Path(record.executable).parent.parent))
    program = Uv(context.children, uv, python, context.task.folder, context.tuning.packages)
    _apply(context, program, changes)
    left = _still_different(record, changes)
    if left:
        raise RunFault(
            "rollback_incomplete",
            "Not all packages could be brought back: %s." % ", ".join(left[:8]),
            "The run's packages.log says why; install these versions by hand.",
        )
    context.phase(Phase.INSTALL, StepStatus.SUCCESS, "%d packages brought back" % len(changes))


def _way_back(before: Freeze, now: Freeze, names: Sequence[str]) -> List[Change]:
    found = []
    for name in sorted(names):
        was, current = before.get(name), now.get(name)
        known = was or current
        if known is not None:
            old, new = current.new if current else None, was.new if was else None
            found.append(Change(known.package, old, new, was.source if was else None))
    return found


def _apply(context: Context, uv: Uv, changes: Sequence[Change]) -> None:
    """All at once; what cannot be had at once is tried one by one."""
    log = context.task.folder / "packages.log"
    removed = [change.package for change in changes if change.new is None]
    if removed:
        uv.uninstall(removed, log)
    pins = [change.pinned for change in changes if change.new is not None]
    if pins and not _install(context, uv, pins, log):
        for pin in pins:
            _install(context, uv, [pin], log)


def _install(context: Context, uv: Uv, pins: Sequence[str], log: Path) -> bool:
    file = context.task.folder / "rollback.txt"
    write_lines(file, pins)
    return uv.install(file, log, lambda _line: None).ok


def _still_different(record: Record, changes: Sequence[Change]) -> List[str]:
    """Looked at, not assumed."""
    now = freeze_of(ask(str(record.executable)))
    wanted = {change.package: change.new for change in changes}
    versions = {change.package: change.new for change in now.values()}
    return ["%s %s" % (name, version or "removed") for name, version in wanted.items() if versions.get(name) != version]


def bring_back_packs(context: Context, record: Record) -> Dict[str, Optional[Problem]]:
    """Folders that the run made go, if nothing in them is anybody's; the others get their old commits. By name: None
    for those that are there as they were; the reason for the others. Raises RunCancelled."""
    made = record.commits()
    found: Dict[str, Optional[Problem]] = {}
    for pack in reversed(record.packs):  # those in another's folder first
        try:
            found[pack["name"]] = _bring_back(context, pack, made.get(pack["name"]))
        except OSError as exc:
            found[pack["name"]] = reasons.of_os(exc)
    return found


def _bring_back(context: Context, pack: Mapping[str, Any], made: Optional[str]) -> Optional[Problem]:
    folder = context.custom_nodes / pack["folder"]
    git = context.git(context.task.node_log(pack["name"]))
    if not pack["there"]:
        return _remove(git, folder, made)
    now = git.head(folder)
    if now == pack["commit"]:
        return None
    if pack["commit"] is None:
        return Problem("cannot_roll_back", "What was there before was no git repository.", "Put it back by hand.")
    if now != made or existing.local_changes(git, folder):
        return Problem("local_changes", _LOCAL, "Check out %s by hand." % pack["commit"])
    return _check_out(git, folder, pack)


def _remove(git: Git, folder: Path, made: Optional[str]) -> Problem:
    """Nothing that is not the repository's own or Python's cache may be lost."""
    if existing.is_there(folder):
        extra = [name for name in git.untracked(folder) if "__pycache__" not in name] if git.head(folder) else ["?"]
        changed = made is not None and git.head(folder) != made
        if changed or extra or existing.local_changes(git, folder):
            return Problem("local_changes", _LOCAL, "Look at %s, and remove it by hand." % folder)
        shutil.rmtree(str(folder))
    return Problem(REMOVED, "It was not there before the run, and is not there now.")


def _check_out(git: Git, folder: Path, pack: Mapping[str, Any]) -> Optional[Problem]:
    commit, branch = pack["commit"], pack["branch"]
    if not git.local("cat-file", "-e", commit + "^{commit}", cwd=folder).ok:
        shallow = git.line("rev-parse", "--is-shallow-repository", cwd=folder) == "true"
        fetched = fetch_ref(git, commit, folder, shallow=shallow)
        if not fetched.ok:
            return reasons.of_git(fetched)
    finished = git.local("checkout", "-q", *(["-B", branch] if branch else ["--detach"]), commit, cwd=folder)
    if finished.ok and branch and pack.get("remote"):  # what the checkout knew of its remote, else it looks ahead of it
        git.local("update-ref", "refs/remotes/origin/%s" % branch, pack["remote"], cwd=folder)
    if finished.ok and (folder / ".gitmodules").exists():
        finished = update_submodules(git, folder)
    return None if finished.ok else reasons.of_git(finished)


def tell_packs(context: Context, record: Record, found: Mapping[str, Optional[Problem]]) -> None:
    """How each pack is after a rollback that is a run of its own."""
    for pack in record.packs:
        name, problem = pack["name"], found[pack["name"]]
        if problem is None:
            commit = context.git().head(context.custom_nodes / pack["folder"])
            context.node(name, NodeState.CLONED, commit=commit, kept=True)
            context.node(name, NodeState.INSTALLED)
        else:
            state = NodeState.SKIPPED if problem.code == REMOVED else NodeState.FAILED
            context.node(name, state, problem)
