"""Copies a folder with everything that belongs to it, compares the copy, and removes the original entry by entry.

A copy is compared by names, kinds, sizes and link targets. Contents are not read back: the kernel would answer from the
memory that the copy was written from, and what the disk refuses is reported by fsync.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Dict, Iterator, NoReturn, Tuple

ENTRY_POINTS = ("__init__.py", "prestartup_script.py")
"""What ComfyUI runs of a pack. Removed first, in this order, and copied last, so that half a pack is never run."""

_PART = ".nodeferry-part"
"""Behind the name of a file that is being written."""
_NO_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
_GRANULARITIES = (1_000, 1_000_000, 1_000_000_000, 2_000_000_000)
"""Nanoseconds to which file systems round times down."""


def copy(source: Path, target: Path) -> None:
    """Copies what `target` lacks, and waits until the disk has it: files, links as links, hard links, modes, times,
    and owners and extended attributes where they can be set. Raises OSError."""
    _copy(str(source), str(target), {})
    sync_folder(target.parent)


def _copy(source: str, target: str, hard_links: Dict[Tuple[int, int], str]) -> None:
    found = os.lstat(source)
    if stat.S_ISDIR(found.st_mode):
        if not os.path.isdir(target):
            os.mkdir(target, 0o700)
        late = [name for name in reversed(ENTRY_POINTS) if os.path.lexists(os.path.join(source, name))]
        for name in [*(name for name in os.listdir(source) if name not in late), *late]:
            if not name.endswith(_PART):
                _copy(os.path.join(source, name), os.path.join(target, name), hard_links)
        _copy_attributes(source, target, found)
        sync_folder(Path(target))
    elif not os.path.lexists(target):
        _copy_entry(source, target, found, hard_links)


def _copy_entry(source: str, target: str, found: os.stat_result, hard_links: Dict[Tuple[int, int], str]) -> None:
    identity = (found.st_dev, found.st_ino)
    if found.st_nlink > 1 and identity in hard_links:
        with suppress(OSError):  # a file system without hard links gets a copy
            os.link(hard_links[identity], target, follow_symlinks=False)
            return
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(source), target)
        _copy_attributes(source, target, found)
    elif stat.S_ISREG(found.st_mode):
        part = target + _PART
        shutil.copyfile(source, part)
        _copy_attributes(source, part, found)
        _sync(part)
        os.rename(part, target)
    else:
        os.mknod(target, found.st_mode, found.st_rdev)
        _copy_attributes(source, target, found)
    if found.st_nlink > 1:
        hard_links[identity] = target


def _copy_attributes(source: str, target: str, found: os.stat_result) -> None:
    """As far as rights and the file system allow: a volume that knows no owners must not keep a pack from moving."""
    with suppress(OSError):
        os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    with suppress(OSError):
        for name in os.listxattr(source, follow_symlinks=False):
            with suppress(OSError):
                value = os.getxattr(source, name, follow_symlinks=False)
                os.setxattr(target, name, value, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        with suppress(OSError):
            os.chmod(target, stat.S_IMODE(found.st_mode))
    with suppress(OSError):
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def sync_folder(folder: Path) -> None:
    """Waits until the disk has the names in a folder. Raises OSError."""
    _sync(str(folder))


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as exc:
        if exc.errno not in _NO_FSYNC:
            raise
    finally:
        os.close(fd)


def file_bytes(folder: Path) -> int:
    """The size of all files. Raises OSError."""
    return sum(found.st_size for found in map(os.lstat, _below(folder)) if stat.S_ISREG(found.st_mode))


def check_copied(source: Path, target: Path) -> None:
    """Raises OSError when `target` lacks something of `source`, or has it as it was before a change."""
    for path in _below(source):
        _check_entry(path, source, target)


def remove_copied(source: Path, target: Path) -> None:
    """Removes `source`, each entry only while `target` has the same. Raises OSError; what is left then stays."""
    first = (source / name for name in ENTRY_POINTS if os.path.lexists(str(source / name)))
    for path in chain(first, _below(source)):
        _check_entry(path, source, target)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def remove_entry_points(folder: Path) -> None:
    """From now on ComfyUI runs nothing of the pack. Raises OSError."""
    for name in ENTRY_POINTS:
        with suppress(FileNotFoundError):
            (folder / name).unlink()


def _below(folder: Path) -> Iterator[Path]:
    """All entries, each folder after what is in it, `folder` itself last. Raises OSError."""

    def fail(exc: OSError) -> NoReturn:
        raise exc

    if folder.is_dir() and not folder.is_symlink():
        for where, names, files in os.walk(str(folder), topdown=False, onerror=fail):
            links = [name for name in names if os.path.islink(os.path.join(where, name))]
            for name in [*files, *links]:
                yield Path(where, name)
            if where != str(folder):
                yield Path(where)
    yield folder


def _check_entry(path: Path, source: Path, target: Path) -> None:
    copied = target / path.relative_to(source)
    found = os.lstat(str(path))
    if path.name.endswith(_PART) and stat.S_ISREG(found.st_mode):
        return
    try:
        is_same = _is_copy(str(path), found, str(copied), os.lstat(str(copied)))
    except FileNotFoundError:
        is_same = False
    if not is_same:
        raise OSError(errno.EBUSY, "It was changed while its folder was moved", str(path))


def _is_copy(path: str, found: os.stat_result, copied: str, of_copy: os.stat_result) -> bool:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFMT(of_copy.st_mode):
        return False
    if stat.S_ISREG(kind):
        return found.st_size == of_copy.st_size and not _is_newer(found.st_mtime_ns, of_copy.st_mtime_ns)
    return not stat.S_ISLNK(kind) or os.readlink(path) == os.readlink(copied)


def _is_newer(changed: int, copied: int) -> bool:
    """Whether a file was written after it was copied: the copy has its time, perhaps rounded down."""
    return changed > copied and all(changed // each * each != copied for each in _GRANULARITIES)
