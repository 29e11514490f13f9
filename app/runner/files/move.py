"""Moves a folder or a file, also where it cannot be renamed. Nothing else in the runner renames what a user has.

A folder in a lower layer of a container's image, or on another file system than its target, cannot be renamed
(EXDEV). Then it is copied beside the target, the copy is compared and renamed into place, and the source is removed.
ComfyUI skips the copy's name. A note beside the source names the target from before that rename until the source is
gone. So a move that was killed can be settled from the names alone:

    copy there                  the source is whole: the copy goes
    note there, copy not there  the target is whole: the rest of the source goes

The source goes entry by entry, each only while the target has the same. Where that fails (a file that cannot be
removed, a file that was changed meanwhile) what was removed is put back from the target, and the move is undone.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Iterable, List, Optional

from app.runner.files import tree

_COPY, _NOTE, _END = ".nodeferry-copy-", ".nodeferry-move-", ".disabled"
"""ComfyUI skips names that end in `.disabled`."""


def move(source: Path, target: Path) -> None:
    """Moves `source` to `target`, which is not there or is an empty folder. It is whole in one of the two places when
    this ends, also by an error. An earlier move that was killed is settled first. Raises OSError."""
    settle(source)
    try:
        os.rename(str(source), str(target))
        return
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
    _move_by_copy(source, target)


def is_working_name(name: str) -> bool:
    """Whether a file or folder of that name belongs to a move and not to anybody's pack."""
    return name.startswith((_COPY, _NOTE)) and name.endswith(_END)


def _copy_of(target: Path) -> Path:
    return target.with_name(_COPY + target.name + _END)


def _note_of(source: Path) -> Path:
    return source.with_name(_NOTE + source.name + _END)


def _move_by_copy(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink() and any(target.iterdir()):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(target))
    copy, note = _copy_of(target), _note_of(source)
    if not discard(copy):
        raise OSError(errno.EBUSY, "The rest of an earlier copy cannot be removed", str(copy))
    _check_free(source, target.parent)
    try:
        tree.copy(source, copy)
        tree.check_copied(source, copy)
        _write_note(note, target)
        os.rename(str(copy), str(target))
    except OSError:
        with suppress(FileNotFoundError):
            note.unlink()
        discard(copy)
        raise
    tree.sync_folder(target.parent)
    _remove_source(source, target)


def _check_free(source: Path, folder: Path) -> None:
    """A disk that the copy would fill is not filled: ComfyUI may be writing to it. Raises OSError."""
    needed = tree.file_bytes(source)
    usage = shutil.disk_usage(str(folder))
    if usage.total and needed > usage.free:  # some network volumes tell no size
        text = "moving it needs a copy of %d MB, and %d MB are free" % (needed >> 20, usage.free >> 20)
        raise OSError(errno.ENOSPC, text, str(source))


def _write_note(note: Path, target: Path) -> None:
    """Names the target, relative to the note: a volume may be mounted elsewhere next time."""
    text = os.path.relpath(str(target), str(note.parent)) + "\n"
    with open(str(note), "wb") as file:
        file.write(os.fsencode(text))
        file.flush()
        os.fsync(file.fileno())
    tree.sync_folder(note.parent)


def _read_note(note: Path) -> Optional[Path]:
    """The target; None for a note that was not written to its end, before anything was renamed."""
    text = os.fsdecode(note.read_bytes())
    if not text.endswith("\n"):
        return None
    return Path(os.path.normpath(os.path.join(str(note.parent), text[:-1])))


def _remove_source(source: Path, target: Path) -> None:
    try:
        tree.check_copied(source, target)
        tree.remove_copied(source, target)
    except OSError:
        _put_back(source, target)
        raise
    _note_of(source).unlink()
    tree.sync_folder(source.parent)


def _put_back(source: Path, target: Path) -> None:
    """The source is whole again, and the target is not there. Raises OSError."""
    try:
        tree.copy(target, source)
    except OSError as exc:
        text = "%s: this folder is not whole, but %s is" % (exc.strerror, target)
        raise OSError(exc.errno, text, str(source)) from exc
    copy = _copy_of(target)
    os.rename(str(target), str(copy))  # from here on it is the target that goes
    _note_of(source).unlink()
    discard(copy)


def settle(path: Path) -> None:
    """Finishes or undoes a move of `path`, or to it, in which an earlier run was killed. Raises OSError."""
    note = _note_of(path)
    if os.path.lexists(str(note)):
        target = _read_note(note)
        is_done = target is not None and os.path.lexists(str(target)) and not os.path.lexists(str(_copy_of(target)))
        if target is not None and is_done and os.path.lexists(str(path)):
            _remove_source(path, target)
        else:
            note.unlink()
            if target is not None:
                discard(_copy_of(target))
    discard(_copy_of(path))


def settle_all(folders: Iterable[Path]) -> List[OSError]:
    """Settles every move in these folders; what could not be settled. Only while no other run works in them."""
    problems: List[OSError] = []
    names = [(folder, name) for folder in folders if folder.is_dir() for name in sorted(os.listdir(str(folder)))]
    working = [(folder, name) for folder, name in names if is_working_name(name)]
    for folder, name in sorted(working, key=lambda each: each[1].startswith(_COPY)):  # what has a note first
        try:
            settle(folder / name[len(_NOTE if name.startswith(_NOTE) else _COPY) : -len(_END)])
        except OSError as exc:
            problems.append(exc)
    return problems


def discard(path: Path) -> bool:
    """Removes what nobody needs any more, out of ComfyUI's sight first. Whether it is gone: a file that cannot be
    removed stays in a folder that ComfyUI skips. Raises OSError where it stays in sight."""
    if not os.path.lexists(str(path)):
        return True
    hidden = path
    if not is_working_name(path.name):
        hidden = _free_name(path)
        try:
            os.rename(str(path), str(hidden))
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            tree.remove_entry_points(path)
            shutil.rmtree(str(path))
    if hidden.is_dir() and not hidden.is_symlink():
        shutil.rmtree(str(hidden), ignore_errors=True)
    else:
        with suppress(OSError):
            hidden.unlink()
    return not os.path.lexists(str(hidden))


def _free_name(path: Path) -> Path:
    hidden, number = _copy_of(path), 1
    while os.path.lexists(str(hidden)):
        number += 1
        hidden = _copy_of(path.with_name("%s_%d" % (path.name, number)))
    return hidden
