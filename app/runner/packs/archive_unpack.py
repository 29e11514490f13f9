"""Unpacks a pack's archive of the registry, and leaves the list that ComfyUI-Manager goes by.

All entries are looked at before the first one is written. What no honest pack has is refused, not repaired: the list in
`.tracking` names what is there, so that Manager can update and remove it.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from app.runner.packs.installed import TRACKING

MOST_FILES = 20_000
MOST_BYTES = 8 * 1024**3
_LEFT_FREE = 1024**3
_MOST_RATIO = 200
_RATIO_FROM = 100 * 1024**2
_LONGEST = 1000
_LONGEST_PART = 240
_DRIVE = re.compile(r"[A-Za-z]:")
_PIECE = 256 * 1024
_ENCRYPTED = 0x1
PACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""As all archives of the registry are. The others ask for as much memory as they like, or grow at once."""
_MOST_DIRECTORY = 8 * 1024**2
"""Bytes of the list of entries, which is in memory as a whole before any entry can be looked at."""
_DIRECTORY_BYTES = 5
"""Where zipfile has the size of that list."""


class Unsafe(ValueError):
    """Why an archive is not unpacked."""


class TooLarge(ValueError):
    """It has more bytes than a pack may have, or than there is room for."""


def unpack(file: Path, target: Path, check: Callable[[], None]) -> None:
    """The files of an archive in the new folder `target`. `check` is called all the time, and may raise. Raises Unsafe,
    TooLarge, OSError, BadZipFile and what else zipfile raises for a broken archive."""
    check_directory(file)
    with zipfile.ZipFile(str(file)) as archive:
        entries = archive.infolist()
        _check_all(entries, file.stat().st_size)
        total = sum(entry.file_size for entry in entries)
        target.mkdir(parents=True)
        if shutil.disk_usage(str(target)).free < total + _LEFT_FREE:
            raise TooLarge("the disk has no room for its %d MB" % (total // 1_000_000))
        _check_names(entries, folds=_folds_case(target))
        for entry in entries:
            check()
            _write(archive, entry, target, check)
        (target / TRACKING).write_bytes("\n".join(entry.filename for entry in entries).encode("utf-8"))


def check_directory(file: Path) -> None:
    """Whether zipfile may read an archive's list of entries. Raises Unsafe, OSError."""
    with file.open("rb") as source:
        end = zipfile._EndRecData(source)  # type: ignore[attr-defined]  # noqa: SLF001 - what ZipFile itself goes by
    size = end[_DIRECTORY_BYTES] if end else 0
    if size > _MOST_DIRECTORY:
        raise Unsafe("its list of files has %d MB" % (size // 1_000_000))


def _folds_case(folder: Path) -> bool:
    """Whether the disk takes names in upper and lower case for one."""
    other = folder.with_name(folder.name.swapcase())
    return other.name != folder.name and other.exists()


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, check: Callable[[], None]) -> None:
    path = target.joinpath(*entry.filename.rstrip("/").split("/"))
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, path.open("wb") as into:
        for piece in iter(lambda: source.read(_PIECE), b""):
            check()
            into.write(piece)
    path.chmod(0o755 if entry.external_attr >> 16 & stat.S_IXUSR else 0o644)


def _check_all(entries: Sequence[zipfile.ZipInfo], size: int) -> None:
    if not any(not entry.is_dir() for entry in entries):
        raise Unsafe("it has no file")
    if len(entries) > MOST_FILES:
        raise Unsafe("it has %d files; a pack may have %d" % (len(entries), MOST_FILES))
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        raise TooLarge("its files have %d MB" % (total // 1_000_000))
    if total > _RATIO_FROM and total > _MOST_RATIO * size:
        raise Unsafe("it grows to %d times its size" % (total // max(1, size)))
    if sum(entry.compress_size for entry in entries) > size:
        raise Unsafe("its files lie over one another")
    for entry in entries:
        _check(entry)


def _check(entry: zipfile.ZipInfo) -> None:
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    parts = name.rstrip("/").split("/")
    if getattr(entry, "orig_filename", name) != name:
        raise Unsafe("the name %.80r is not what it seems" % name)
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name or ".." in parts:
        raise Unsafe("%.80r leads out of it" % name)
    if len(name) > _LONGEST or not all(0 < len(part) <= _LONGEST_PART and part.isprintable() for part in parts):
        raise Unsafe("%.80r is no name of a file" % name)
    if "." in parts or ".git" in [part.lower() for part in parts]:
        raise Unsafe("%.80r has no business in an archive" % name)
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise Unsafe("%.80r is a link or a device" % name)
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in PACKED:
        raise Unsafe("%.80r is encrypted, or packed in an unusual way" % name)
    if parts[0].lower() == TRACKING and (entry.is_dir() or len(parts) > 1):
        raise Unsafe("%.80r stands where ComfyUI-Manager's own list has its place" % name)


def _check_names(entries: Sequence[zipfile.ZipInfo], *, folds: bool) -> None:
    """No two entries in one place. `folds`: the disk does not tell upper from lower case."""
    seen: Dict[str, str] = {}
    files = set()
    for entry in entries:
        name = entry.filename.rstrip("/")
        key = name.casefold() if folds else name
        if key in seen:
            raise Unsafe("it has %.80r twice" % name)
        seen[key] = name
        if not entry.is_dir():
            files.add(key)
    for key, name in seen.items():
        parts = key.split("/")
        above: List[str] = ["/".join(parts[:count]) for count in range(1, len(parts))]
        if any(each in files for each in above):
            raise Unsafe("%.80r is a file and a folder" % name)
