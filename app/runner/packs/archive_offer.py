"""A pack whose repository is gone, while ComfyUI's registry has an archive of it: that is offered, never taken unasked.

What is installed from the archive becomes a repository of one commit, so that everything that comes after (a rollback,
local changes, a later run) knows it as it knows any other pack. The commit follows from the archive alone.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import List, Optional

from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.hints import reasons
from app.runner.machine.git import Git
from app.runner.packs.archive_unpack import PACKED, check_directory
from app.runner.packs.node_registry import Archive, NodeRegistry, download

_GONE = frozenset({"repository_not_found", "repository_not_found_or_private"})
_MOST_FILES = 20_000
_MOST_BYTES = 4 * 1024**3
_LEFT_FREE = 1024**3
_REF = "refs/remotes/origin/nodeferry-archive"
_WHO = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")
_WHEN = ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")
_NO_FILTERS = ("core.autocrlf=false", "core.fileMode=false", "filter.lfs.clean=", "filter.lfs.process=")


def offer(context: Context, result: PackResult, target: Path) -> None:
    """Asks whether the archive is to be installed, where `result.problem` is that there is no repository, and the
    registry has one; puts it at `target` if so. Else the problem says what can be done. Raises OSError,
    RunCancelled."""
    problem = result.problem
    if problem is None or problem.code not in _GONE or context.options.plan_only:
        return
    registry = context.shared.setdefault(NodeRegistry.__name__, NodeRegistry())
    assert isinstance(registry, NodeRegistry)
    archive = registry.find(result.pack.repo_url, context.check_cancelled)
    if archive is None:
        return
    what = "%s %s" % (archive.node_id, archive.version)
    answer = context.questions.ask(
        "The repository of %s is gone or private, but ComfyUI's registry has an archive of the pack: %s. Install that?"
        % (result.pack.name, what),
        code="install_archive",
        hint="It is the author's last release there. It may be older than the repository was, and gets no updates.",
        answers={"leave": "Leave it out", "install": "Install the archive"},
        default="leave",
        facts={"pack": result.pack.name, "node_id": archive.node_id, "version": archive.version},
    )
    if answer != "install":
        hint = 'ComfyUI\'s registry has an archive of it: %s. Start again with "ask": "ask" to be asked whether it is '
        hint += "installed, or install it with ComfyUI-Manager. If the address is wrong, correct it."
        result.problem = replace(problem, hint=hint % what)
        return
    result.problem = _install(context, result, archive, target)
    if result.problem is None:
        text = "%s: its repository is gone, so %s was installed from ComfyUI's registry, as asked."
        context.warn("archive_installed", text % (result.pack.name, what), "Look for another pack that is kept up.")


def _install(context: Context, result: PackResult, archive: Archive, target: Path) -> Optional[Problem]:
    file = target.with_name(target.name + ".zip")
    shutil.rmtree(str(target), ignore_errors=True)
    try:
        download(archive, file, context.check_cancelled)
        target.mkdir(parents=True)
        _unpack(context, file, target)
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as exc:
        known = reasons.of_os(exc) if isinstance(exc, OSError) and exc.errno else None
        text = "The archive %s %s of ComfyUI's registry could not be used (%.200s)."
        usual = Problem("archive_failed", text % (archive.node_id, archive.version, exc), "Start again later.")
        return known if known and known.code != "system_error" else usual
    finally:
        file.unlink(missing_ok=True)
    return _make_repository(context, result, archive, target)


def _unpack(context: Context, file: Path, target: Path) -> None:
    """Only plain files with plain names. Raises OSError, ValueError, BadZipFile."""
    check_directory(file)
    with zipfile.ZipFile(str(file)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        total = sum(entry.file_size for entry in entries)
        if len(entries) > _MOST_FILES or total > _MOST_BYTES:
            raise ValueError("it has too many files, or too large ones")
        if shutil.disk_usage(str(target)).free < total + _LEFT_FREE:
            raise ValueError("the disk has no room for it")
        for entry in entries:
            context.check_cancelled()
            parts = _parts(entry)
            if not parts:
                continue
            path = target.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, path.open("wb") as into:
                shutil.copyfileobj(source, into, 256 * 1024)
            path.chmod(0o755 if entry.external_attr >> 16 & stat.S_IXUSR else 0o644)
    if not any(target.iterdir()):
        raise ValueError("it is empty")


def _parts(entry: zipfile.ZipInfo) -> List[str]:
    """An entry's path; none for what is left out: links, devices, and git's own. Raises ValueError where it leads out
    of the pack."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    parts = list(path.parts)
    if path.is_absolute() or not parts or ".." in parts or any(not part.isprintable() or ":" in part for part in parts):
        raise ValueError("it has a file outside of itself")
    if entry.compress_type not in PACKED:
        raise ValueError("it is packed in an unusual way")
    if kind not in (0, stat.S_IFREG) or ".git" in [part.lower() for part in parts]:
        return []
    return parts


def _make_repository(context: Context, result: PackResult, archive: Archive, target: Path) -> Optional[Problem]:
    """One commit, which counts as the remote's; its address is the pack's."""
    names, emails = _WHO
    environ = {**dict.fromkeys(names, "Nodeferry"), **dict.fromkeys(emails, "nodeferry@localhost")}
    environ.update(dict.fromkeys(_WHEN, "2000-01-01T00:00:00+00:00"))
    log = context.task.node_log(result.pack.name)
    git = Git(context.children, context.git_program, context.limits, log, environ=environ)
    settings = [part for value in _NO_FILTERS for part in ("-c", value)]
    for args in (
        ("init", "-q"),
        ("symbolic-ref", "HEAD", "refs/heads/registry"),
        ("remote", "add", "origin", result.pack.repo_url),
        (*settings, "add", "--all", "--force", "--", "."),
    ):
        finished = git.local(*args, cwd=target)
        if not finished.ok:
            return reasons.of_git(finished)
    tree = git.line("write-tree", cwd=target)
    words = "%s %s of ComfyUI's registry" % (archive.node_id, archive.version)
    commit = git.line("commit-tree", "-m", words, tree, cwd=target) if tree else None
    if commit is None:
        return Problem(
            "archive_failed", "The archive of ComfyUI's registry could not be used.", "Look at the pack's log."
        )
    for name in (_REF, "HEAD"):
        git.local("update-ref", name, commit, cwd=target)
    return None
