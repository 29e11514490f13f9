"""A pack of ComfyUI's registry: its archive in the folder of its id, as ComfyUI-Manager would have it, so that Manager
goes on managing it. What stands there already is kept, updated or installed anew, as asked; nothing is mixed."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Optional

from app.protocol.repo_identity import same_repo, without_login
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState
from app.runner.context import Context, PackResult
from app.runner.files.move import move
from app.runner.hints import reasons
from app.runner.packs import git_leftovers, manager_copies, movable
from app.runner.packs.archive_download import Download
from app.runner.packs.archive_unpack import TooLarge, Unsafe, unpack
from app.runner.packs.installed import TRACKING, Installed, Kind, is_there, project_name, project_version
from app.runner.packs.registry_versions import Archive, find_archive, same_version
from app.runner.policies import incoming

CNR_ID = ".cnr-id"
"""In .git of a clone: the pack's id, as ComfyUI-Manager notes it."""
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError)


def bring(context: Context, result: PackResult) -> None:
    """The pack in its place: `result.version` (of a clone that is kept: `result.commit`), or `result.problem`. Raises
    OSError, RunCancelled."""
    if is_there(result.folder):
        _settle(context, result)
        return
    result.problem = manager_copies.in_the_way(context, result.pack)
    if result.problem is None:
        _fetch(context, result)
    if result.problem is None:
        _put(context, result)


def look_only(context: Context, result: PackResult) -> None:
    """The same for a run that only plans: what would be new is in staging."""
    if is_there(result.folder):
        if _decide(context, result) == "keep" or result.problem is not None:
            _keep(context, result)
            return
    else:
        result.problem = manager_copies.in_the_way(context, result.pack)
    if result.problem is None:
        _fetch(context, result)
        if result.problem is None:
            result.folder = _staged(context, result)


def _settle(context: Context, result: PackResult) -> None:
    to_do = _decide(context, result)
    if to_do == "keep":
        _keep(context, result)
        return
    if result.problem is None:
        result.problem = movable.cannot_be_moved(context.custom_nodes, result.folder)
    if result.problem is not None:
        return
    archive, result.problem = find_archive(context, result.pack)
    if archive is None:
        return
    there = project_version(result.folder)
    if to_do == "update" and same_version(there, archive.version):
        _keep(context, result)
        return
    _fetch(context, result, archive)
    if result.problem is None:
        _replace(context, result)


def _decide(context: Context, result: PackResult) -> str:
    """`keep`, `update` or `reinstall`; with `result.problem` where nothing may be done."""
    wanted = context.existing_of(result.pack)
    if "lock" in (context.request.get("manifest") or {}) and wanted != "reinstall":
        wanted = "keep" if same_version(project_version(result.folder), result.pack.version) else "update"
    result.problem = _foreign(context, result, wanted)
    return wanted


def _foreign(context: Context, result: PackResult, wanted: str) -> Optional[Problem]:
    """Why the folder is left alone: it is not this pack, or in a form that the registry's version would be mixed
    with."""
    folder, pack = result.folder, result.pack
    where = "custom_nodes/%s" % pack.folder
    if (folder / ".git").exists():
        if not _is_clone_of(context, result):
            origin = without_login(git_leftovers.origin(context.git(), folder))[:300] or "of no address"
            text = "%s is a clone of another repository (%s)." % (where, origin)
            hint = "Move it away, or correct the list of packs, then start again."
            return Problem("name_taken", text, hint)
        if wanted == "update":
            text = (
                "%s is a git clone of the pack, and the list asks for %s of ComfyUI's registry. It was left as it is."
            )
            hint = 'To have the registry\'s version in its place, start again with "existing": "reinstall".'
            return Problem("clone_in_place", text % (where, pack.source), hint)
        return None
    if (folder / TRACKING).is_file():
        named = project_name(folder)
        if not named or _bare(named) == _bare(pack.registry_id):
            return None
        text = "%s is another pack of ComfyUI's registry (%s)." % (where, named[:80])
        return Problem("name_taken", text, "Move it away, or correct the list of packs, then start again.")
    if wanted == "reinstall" and folder.is_dir():
        return None
    text = "%s exists and was not installed from ComfyUI's registry. It was left untouched." % where
    return Problem("name_taken", text, 'Move it away, or start again with "existing": "reinstall".')


def _is_clone_of(context: Context, result: PackResult) -> bool:
    folder, pack = result.folder, result.pack
    git = context.git(context.task.node_log(pack.name))
    names = [project_name(folder)]
    with suppress(OSError):  # Manager has not seen it
        names.append((folder / ".git" / CNR_ID).read_text("utf-8", "replace")[:200].strip())
    by_name = _bare(pack.registry_id) in [_bare(name) for name in names if name]
    return by_name or bool(pack.repo_url and same_repo(git_leftovers.origin(git, folder), pack.repo_url))


def _keep(context: Context, result: PackResult) -> None:
    if result.problem is not None:
        return
    pack, folder = result.pack, result.folder
    result.kept = True
    if (folder / ".git").exists():
        result.commit = context.git(context.task.node_log(pack.name)).head(folder)
        if result.commit is None:
            result.problem = Problem(
                "broken_checkout",
                "Its folder is a git repository without a commit: an earlier clone broke off.",
                'Start again with "existing": "reinstall".',
            )
            return
        text = "%s was kept: it is a git clone, at commit %s, and not %s of ComfyUI's registry."
        _warn_other(context, text % (pack.name, result.commit[:10], pack.source), "reinstall")
        return
    result.version = project_version(folder) or "unknown"
    if pack.version and not same_version(result.version, pack.version):
        text = "%s was kept at version %s; the list of packs asks for %s."
        _warn_other(context, text % (pack.name, result.version, pack.version), "update")


def _warn_other(context: Context, text: str, existing: str) -> None:
    context.warn("kept_at_other_version", text, 'Start again with "existing": "%s" to get it.' % existing)


def _fetch(context: Context, result: PackResult, archive: Optional[Archive] = None) -> None:
    """Into staging: `result.version` or `result.problem` is set afterwards, or `result.held`. Raises OSError,
    RunCancelled."""
    target = _staged(context, result)
    if incoming.resume(context, result, target):
        version = project_version(target) or result.pack.version
    else:
        context.node(result.pack.name, NodeState.CLONING)
        if archive is None:
            archive, result.problem = find_archive(context, result.pack)
        version = "" if archive is None else _bring_archive(context, result, archive, target)
    if result.problem is None:
        incoming.look_at(context, result, target)
    if result.problem is None:
        result.version = version
    elif not result.held:
        shutil.rmtree(str(target), ignore_errors=True)


def _bring_archive(context: Context, result: PackResult, archive: Archive, target: Path) -> str:
    """The version that came, by its own pyproject.toml."""
    shutil.rmtree(str(target), ignore_errors=True)
    file = target.with_name(target.name + ".zip")
    download = Download(context, result.pack.name, archive, file)
    try:
        result.problem = download.run() or _unpacked(context, result, archive, file, target)
    finally:
        file.unlink(missing_ok=True)
    if result.problem is not None:
        return ""
    result.pack = replace(result.pack, version=archive.version, archive_sha256=download.sha256)
    inside = project_version(target)
    if inside and not same_version(inside, archive.version):
        text = "%s: the registry's version %s says of itself that it is %s. ComfyUI-Manager shows the latter."
        context.warn("registry_version_differs", text % (result.pack.name, archive.version, inside))
    return archive.version


def _unpacked(context: Context, result: PackResult, archive: Archive, file: Path, target: Path) -> Optional[Problem]:
    what = "%s %s" % (result.pack.name, archive.version)
    try:
        unpack(file, target, context.check_cancelled)
    except Unsafe as exc:
        hint = "Nothing of it was installed. Tell the pack's author, or give the address of its repository instead."
        return Problem("archive_unsafe", "The archive of %s is not safe to unpack: %s." % (what, exc), hint)
    except TooLarge as exc:
        return Problem("archive_too_large", "The archive of %s is too large: %s." % (what, exc), "Make room first.")
    except _BROKEN as exc:
        text = "The archive of %s cannot be read (%.200s)." % (what, exc)
        return Problem("archive_failed", text, "Start again later, or ask for another version.")
    except OSError as exc:
        return reasons.of_os(exc)
    return None


def _put(context: Context, result: PackResult) -> None:
    """The one move that makes the pack visible to ComfyUI."""
    source = _staged(context, result)
    context.own(source)
    if is_there(result.folder):
        text = "Something else created custom_nodes/%s during the install." % result.pack.folder
        result.problem, result.version = Problem("name_taken", text, "Move that folder away, then start again."), None
        return
    move(source, result.folder)


def _replace(context: Context, result: PackResult) -> None:
    """The new version takes the place of what is there, which is kept aside, and gets the user's own files of it."""
    folder, pack = result.folder, result.pack
    kind = Kind.CLONE if (folder / ".git").exists() else Kind.REGISTRY if (folder / TRACKING).is_file() else Kind.FILES
    found = Installed(folder, kind, False, "", project_name(folder), "")
    before = project_version(folder)
    aside = manager_copies.put_in_place_of(context, result, found, lambda: _put(context, result))
    if result.problem is not None:
        return
    what = {
        Kind.CLONE: "its git clone",
        Kind.REGISTRY: "version %s" % before if before else "the version that was there",
        Kind.FILES: "a folder without a record of where it came from",
    }[kind]
    text = "%s %s replaces %s, which is kept in %s."
    where = os.path.relpath(str(aside), str(context.base))
    hint = "A rollback of this task puts it back. Delete it when you no longer need it."
    context.warn("registry_copy_replaced", text % (pack.name, result.version, what, where), hint)


def _staged(context: Context, result: PackResult) -> Path:
    return context.staging / result.pack.name


def _bare(name: str) -> str:
    return re.sub(r"[-_. ]+", "-", name.strip().lower())
