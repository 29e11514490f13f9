"""Copies of a pack that ComfyUI-Manager made in its own way: disabled ones, and those that came from the registry.

Manager puts a disabled pack into `custom_nodes/.disabled/NAME@VERSION` (older ones: `custom_nodes/NAME.disabled`). A
copy from the registry is no git repository; it has a file `.tracking` that lists what came with it, and a
pyproject.toml that names its repository. Its folder is the registry's name of the pack, mostly in lower case.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Container, Iterable, Optional

from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.files.move import move as move_folder
from app.runner.packs import disabled_packs, movable
from app.runner.packs.already_installed import AlreadyInstalled
from app.runner.packs.installed import TRACKING, Installed, Kind
from app.runner.process.paths import Task

_REPLACED = "replaced.ndjson"
_MARK = ".nodeferry-replace-"
_CODE = frozenset({".py", ".pyc", ".js", ".mjs", ".ts", ".css", ".html"})
"""Endings of a pack's own files: an old one among the new ones may be loaded and do harm."""


def in_the_way(context: Context, pack: NodePack) -> Optional[Problem]:
    """Why a pack whose own folder is free is not cloned: it would be there twice, or against the user's wish."""
    installed = AlreadyInstalled.of(context)
    if pack.disabled:
        enabled = installed.enabled(pack)
        return disabled_packs.is_enabled(enabled.path) if enabled else None
    if context.existing_of(pack) == "reinstall":
        return None
    copy = None if pack.registry_id else installed.copy_of(pack)
    if copy is not None:
        return is_copy_of(copy)
    disabled = installed.disabled(pack)
    if disabled is None:
        return None
    where = os.path.relpath(str(disabled.path), str(context.base))
    hint = 'Enable it in ComfyUI-Manager, or start again with "existing": "reinstall" for a fresh copy beside it.'
    return Problem("pack_disabled", "The pack is installed and disabled: %s." % where, hint)


def is_copy_of(copy: Installed) -> Problem:
    """The reason why a copy without its repository is left alone."""
    hint = 'It works as it is. To replace it by the repository, start again with "existing": "reinstall".'
    if copy.kind is Kind.REGISTRY:
        text = (
            "custom_nodes/%s was installed by ComfyUI-Manager from ComfyUI's registry. It is not a clone of the "
            "repository." % copy.path.name
        )
        return Problem("registry_copy", text, hint)
    text = (
        "custom_nodes/%s has the pack's files without its git repository, as an unpacked ZIP has. It cannot be updated."
        % copy.path.name
    )
    return Problem("unpacked_copy", text, hint)


def replace(
    context: Context, result: PackResult, found: Installed, clone: Callable[[], None], move: Callable[[], None]
) -> None:
    """Puts the repository in the place of a copy without one, which is kept aside in `.disabled`. `clone` clones into
    staging, `move` moves that to its place; when one fails the copy is where it was. Raises OSError."""
    copy = found.path
    result.problem = movable.cannot_be_moved(context.custom_nodes, copy)
    if result.problem is None:
        clone()
    if result.problem is not None:
        return
    aside = put_in_place_of(context, result, found, move)
    if result.problem is None:
        where = os.path.relpath(str(aside), str(context.base))
        hint = "A rollback of this task puts it back. Delete it when you no longer need it."
        if found.kind is Kind.REGISTRY:
            text = "%s replaces the copy that ComfyUI-Manager had installed. That copy is kept in %s."
            context.warn("registry_copy_replaced", text % (result.pack.name, where), hint)
        else:
            text = "%s replaces custom_nodes/%s, which had no git repository. That folder is kept in %s."
            context.warn("unpacked_copy_replaced", text % (result.pack.name, copy.name, where), hint)


def put_in_place_of(context: Context, result: PackResult, found: Installed, move: Callable[[], None]) -> Path:
    """Moves a folder aside and, by `move`, what is staged into its place; on record for a rollback. When it fails the
    folder is where it was. Where it is kept. Raises OSError."""
    copy = found.path
    aside = aside_for(context, copy, "replaced")
    _note(context, result.pack.name, copy, aside)
    mark = _write_mark(copy, aside, result.folder)
    try:
        move_folder(copy, aside)
        move()
    finally:
        if not result.is_cloned and not os.path.lexists(str(copy)):
            move_folder(aside, copy)
        settle_replacing(mark)
    if result.problem is None:
        context.own(result.folder)
    return aside


def _write_mark(copy: Path, aside: Path, folder: Path) -> Path:
    """Says in custom_nodes which copy is being replaced, until that is done: `settle_replacing` finishes it, in a later
    run if this one is killed."""
    mark = copy.with_name(_MARK + copy.name + ".disabled")
    lines = [os.path.relpath(str(path), str(mark.parent)) for path in (copy, aside, folder)]
    mark.write_bytes(os.fsencode(json.dumps(lines)))
    return mark


def is_mark(name: str) -> bool:
    """Whether a file of that name says that a copy is being replaced."""
    return name.startswith(_MARK)


def settle_replacing(mark: Path) -> None:
    """Gives the successor the user's own files, or, where it is not in place, puts the copy back. Raises OSError."""
    try:
        copy, aside, folder = (mark.parent / path for path in json.loads(mark.read_bytes()))
    except ValueError:  # the disk was full, or the machine went down: nothing was moved
        mark.unlink()
        return
    if aside.is_dir() and ((folder / ".git").exists() or (folder / TRACKING).is_file()):
        if not (aside / ".git").exists():  # of a clone, only git could say what is the user's
            _carry_own_files(aside, folder)
    elif aside.is_dir() and not os.path.lexists(str(copy)):
        move_folder(aside, copy)
    mark.unlink()


@dataclass(frozen=True)
class Replaced:
    """A registry copy that a run replaced: its folder's name, and where it is kept. Both below custom_nodes."""

    name: str
    aside: str


def _note(context: Context, pack: str, copy: Path, aside: Path) -> None:
    """On record before it is done, for a rollback. From several threads."""
    line = {"pack": pack, "name": copy.name, "aside": aside.relative_to(context.custom_nodes).as_posix()}
    fd = os.open(str(context.task.folder / _REPLACED), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(line).encode("ascii") + b"\n")
    finally:
        os.close(fd)


def replaced(task: Task, pack: str) -> Optional[Replaced]:
    """The copy that a run replaced by this pack; None for none. Raises OSError, ValueError, KeyError."""
    path = task.folder / _REPLACED
    lines = path.read_text("ascii").splitlines() if path.exists() else []
    noted = [each for each in map(json.loads, lines) if each["pack"] == pack]
    return Replaced(noted[-1]["name"], noted[-1]["aside"]) if noted else None


def is_copy(folder: Path) -> bool:
    """Whether that folder is a copy of a pack without its repository."""
    return folder.is_dir() and not (folder / ".git").exists()


def restore_copy(folder: Path, copy: Path, paths: Iterable[str], own: Container[str]) -> None:
    """Moves files of the pack in `folder` into the copy that takes its place again. Where the copy has a file of that
    name, one of `own` (not the run's) stays beside it as NAME.before-rollback, others are dropped. Raises OSError."""
    for path in paths:
        target = copy / path
        if os.path.lexists(str(target)):
            if path not in own:
                continue
            target = target.with_name(target.name + ".before-rollback")
        target.parent.mkdir(parents=True, exist_ok=True)
        move_folder(folder / path, target)


def aside_for(context: Context, folder: Path, why: str) -> Path:
    """A free name in `.disabled` for a folder of a pack, on the same file system: `NAME@replaced`."""
    parent = disabled_packs.folder_for(context)
    name = folder.relative_to(context.custom_nodes).as_posix().replace("/", "_")
    path, number = parent / ("%s@%s" % (name, why)), 1
    while os.path.lexists(str(path)):
        number += 1
        path = parent / ("%s@%s_%d" % (name, why, number))
    return path


def _carry_own_files(old: Path, new: Path) -> None:
    """What the registry did not bring is the user's: configurations, downloaded models. What the repository brings
    too stays as it brings it. An archive does not list what it brought: there code is taken for the pack's."""
    is_listed = (old / TRACKING).is_file()
    listed = (old / TRACKING).read_text("utf-8", "replace").splitlines() if is_listed else ()
    brought = {line.strip() for line in listed} | {TRACKING}
    for folder, names, files in os.walk(str(old)):
        links = [name for name in names if os.path.islink(os.path.join(folder, name))]
        names[:] = [name for name in names if name != "__pycache__" and name not in links]
        for name in [*files, *links]:
            path = Path(folder) / name
            inner = path.relative_to(old).as_posix()
            if not is_listed and os.path.splitext(name)[1].lower() in _CODE:
                continue
            if inner not in brought and not os.path.lexists(str(new / inner)):
                (new / inner).parent.mkdir(parents=True, exist_ok=True)
                move_folder(path, new / inner)
