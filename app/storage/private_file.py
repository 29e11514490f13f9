"""Small files that are for their owner alone: never read through a link or from another user, replaced as a whole."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from app.storage.errors import StorageError
from app.storage.private_folder import private, private_folders

MAX_BYTES = 4 * 1024 * 1024
Mark = tuple[int, int, int, int]


def mark_of(path: Path) -> Mark | None:
    """What changes whenever the file is replaced; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def read_private(path: Path) -> bytes | None:
    """The file's content, None where there is none. Raises StorageError for a link, a file of another user, one that
    others may write or read, and one that is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise unusable(path, exc.strerror or str(exc)) from exc
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise unusable(path, "it is no file of Nodeferry's")
        if found.st_uid != os.geteuid() and os.geteuid() != 0:
            raise unusable(path, "it belongs to another user")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise unusable(path, "other users may read or write it", hint=f"If you trust it: chmod 600 {path}")
        with open(os.dup(descriptor), "rb") as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(descriptor)


def write_private(path: Path, content: bytes, *, for_owner: bool = False) -> None:
    """Replaces the file as a whole (0600); `for_owner`: it then belongs to the owner of its folder. Whatever stands at
    its place is never written through. Raises StorageError."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        private_folders(path.parent)
        with open(draft, "xb", opener=private) as file:
            if for_owner and os.geteuid() == 0:
                folder = os.stat(path.parent)
                os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as exc:
        with suppress(OSError):
            draft.unlink()
        raise unusable(path, exc.strerror or str(exc)) from exc


def unusable(path: Path, why: str, *, hint: str = "") -> StorageError:
    """The error for a file that cannot be used."""
    return StorageError(f"{path} cannot be used: {why}.", hint=hint, code="access_unavailable")
