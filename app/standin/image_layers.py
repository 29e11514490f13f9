"""Plays a container: what is in a folder becomes a lower layer of its image.

A real overlay file system is mounted on the folder, as Docker mounts one. A folder that the image brought cannot be
renamed there (EXDEV); what is made afterwards can. Only root may mount one, and not in every container.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.standin.errors import StandInError

_SECONDS = 30.0


@contextmanager
def image_layers(folder: Path) -> Iterator[None]:
    """All that is in `folder` belongs to the image until the block ends; then everything written since is gone.

    Several may be stacked: what was written in the first block then belongs to the image too. Raises StandInError
    where this machine does not let its user mount one.
    """
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.layers.", dir=folder.parent) as scratch:
        upper, work = Path(scratch, "upper"), Path(scratch, "work")
        about = folder.stat()
        upper.mkdir(mode=about.st_mode & 0o7777)
        os.chown(upper, about.st_uid, about.st_gid)  # the mounted folder has the upper one's owner
        work.mkdir()
        options = f"lowerdir={folder},upperdir={upper},workdir={work},redirect_dir=off"
        _call("mount", "-t", "overlay", "overlay", "-o", options, str(folder))
        try:
            yield
        finally:
            _call("umount", "--lazy", str(folder))


@contextmanager
def small_disk(folder: Path, *, megabytes: int, files: int) -> Iterator[None]:
    """A disk of its own at `folder`, with room for so much and so many files. Raises StandInError as above."""
    folder.mkdir(parents=True, exist_ok=True)
    _call("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,nr_inodes={files}", "tmpfs", str(folder))
    try:
        yield
    finally:
        _call("umount", "--lazy", str(folder))


def _call(*argv: str) -> None:
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.CalledProcessError) as exc:
        said = exc.stderr.strip() if isinstance(exc, subprocess.CalledProcessError) else exc
        hint = "Only root may mount file systems, and a container only with the right to (--privileged)."
        raise StandInError(f"{argv[0]} failed: {said}", hint=hint) from exc
