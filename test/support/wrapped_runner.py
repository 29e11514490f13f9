"""The runner's zipapp, started through a few lines of the test.

They end it at a moment that the test chooses, or refuse what a machine without mounts cannot refuse by itself. The
runner is the real one: Python's audit events say what it is about to do.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

_KILL = """
import os, runpy, sys
event, word, number = {chosen}
seen = []
def watch(name, args):
    if name == event and word in "|".join(os.fsdecode(arg) for arg in args if isinstance(arg, (str, bytes))):
        seen.append(name)
        if len(seen) == number:
            os.kill(os.getpid(), 9)
sys.addaudithook(watch)
runpy.run_path({pyz}, run_name="__main__")
"""

_LAYERS = """
import errno, os, runpy, stat
lower = set(map(tuple, {folders}))
rename = os.rename
def refuse(source, target, **options):
    found = os.lstat(source)
    if stat.S_ISDIR(found.st_mode) and (source, found.st_ino) in lower:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
    rename(source, target, **options)
os.rename = refuse
runpy.run_path({pyz}, run_name="__main__")
"""

_MOUNTS = """
import pathlib, runpy
read = pathlib.Path.read_bytes
line = {line}
pathlib.Path.read_bytes = lambda path: read(path) + (line if str(path) == "/proc/self/mountinfo" else b"")
runpy.run_path({pyz}, run_name="__main__")
"""

_LOCKED = """
import errno, os, runpy, sys
def refuse(event, args):
    if event != "os.remove":
        return
    where = None if args[1] == -1 else args[1]
    if os.stat(args[0], dir_fd=where, follow_symlinks=False).st_ino == {inode}:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), args[0])
sys.addaudithook(refuse)
runpy.run_path({pyz}, run_name="__main__")
"""


def locked_runner(pyz: Path, folder: Path, file: Path) -> Path:
    """A runner that cannot remove that file, wherever it is moved to: for machines where nobody may lock one."""
    path = folder / "locked_runner.py"
    path.write_text(_LOCKED.format(inode=file.lstat().st_ino, pyz=repr(str(pyz))))
    return path


def killed_runner(pyz: Path, folder: Path, *, event: str, word: str, number: int = 1) -> Path:
    """A runner that is killed (SIGKILL) just before it does something for the `number`th time: an audit event of
    Python's, such as `os.rename`, with `word` in one of its arguments."""
    path = folder / "killed_runner.py"
    path.write_text(_KILL.format(chosen=repr((event, word, number)), pyz=repr(str(pyz))))
    return path


def layered_runner(pyz: Path, folder: Path, image: Path) -> Path:
    """A runner that cannot rename the folders that are in `image` now: for machines that cannot mount an overlay."""
    folders = [image, *(path for path in image.rglob("*") if path.is_dir() and not path.is_symlink())]
    identities = [(str(each), each.lstat().st_ino) for each in folders]
    path = folder / f"layered_runner{os.urandom(3).hex()}.py"
    path.write_text(_LAYERS.format(folders=json.dumps(identities), pyz=repr(str(pyz))))
    return path


def mounted_runner(pyz: Path, folder: Path, mounted: Path) -> Path:
    """A runner that reads that something is mounted at `mounted`: for machines that cannot mount anything."""
    path = folder / "mounted_runner.py"
    escaped = str(mounted).replace(" ", "\\040")
    line = f"999 1 0:99 / {escaped} rw - tmpfs tmpfs rw\n".encode()
    path.write_text(_MOUNTS.format(line=repr(line), pyz=repr(str(pyz))))
    return path
