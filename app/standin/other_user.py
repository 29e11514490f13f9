"""ComfyUI as another user's: root logs in, and a user of the machine owns and runs ComfyUI. Needs root.

The user is a number without an account, as in images that start with `--user 1000`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

UID, GID = 61_234, 61_235
_SECONDS = 60.0
_UNREADABLE = """
import os, sys
for folder, names, files in os.walk(sys.argv[1], onerror=lambda error: print(error.filename)):
    for name in names + files:
        path = os.path.join(folder, name)
        if os.path.exists(path) and not os.access(path, os.R_OK):
            print(path)
"""


def give_away(folder: Path) -> None:
    """The folder with everything in it becomes that user's."""
    for path in [folder, *folder.rglob("*")]:
        os.lchown(path, UID, GID)


def run_as(argv: Sequence[str | Path], cwd: Path, environ: Mapping[str, str] | None = None) -> str:
    """Runs a program as that user; what it prints. Raises CalledProcessError."""
    done = subprocess.run(
        list(map(str, argv)),
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **(environ or {})},
        user=UID,
        group=GID,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
        timeout=_SECONDS,
    )
    return done.stdout.strip()


def python_for_all() -> str:
    """An interpreter that this user may run: the one that runs us may lie in root's home."""
    for python in filter(None, (sys.executable, "/usr/bin/python3", shutil.which("python3", path="/usr/local/bin"))):
        try:
            run_as([python, "-I", "-c", "import venv, ensurepip"], Path("/"))
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    raise FileNotFoundError("no Python on this machine can be run by everybody; root's own is not for others")


def of_others(folder: Path) -> list[str]:
    """What in a folder is not that user's."""
    found = (path for path in folder.rglob("*") if (path.lstat().st_uid, path.lstat().st_gid) != (UID, GID))
    return sorted(str(path.relative_to(folder)) for path in found)


def unreadable(folder: Path) -> list[str]:
    """What in a folder that user cannot read, as they themselves find."""
    return run_as([python_for_all(), "-I", "-c", _UNREADABLE, folder], Path("/")).splitlines()


def write_older_git(folder: Path) -> None:
    """A git in this folder that takes safe.directory from files alone, as Ubuntu 22.04's and others below 2.38 do."""
    real = shutil.which("git")
    folder.mkdir()
    script = folder / "git"
    script.write_text(
        "#!/bin/bash\nunset GIT_CONFIG_COUNT\n"
        '[ "$1" = --version ] && { echo git version 2.34.1; exit; }\n'
        f'[ "$2" = \'safe.directory=*\' ] && shift 2\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
