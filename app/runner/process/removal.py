"""Removing large trees that nobody needs any more, while other threads of the runner work."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from app.runner.process import audit
from app.runner.process.execute import base_environ

_SECONDS = 300.0
_REMOVE = ("/usr/bin/nice", "-n", "10", "/bin/rm", "-rf", "--")


def remove_large_tree(folder: Path, *, low_priority: bool = True) -> None:
    """Removes it with a program, and waits for that: the other threads go on meanwhile, which they hardly do beside
    Python's own removal of 10,000 files. What the program does not remove is removed as usual; what cannot be removed
    stays. `low_priority`: unless the end of the run waits for it."""
    if not os.path.lexists(str(folder)):
        return
    if all(os.access(program, os.X_OK) for program in (_REMOVE[0], _REMOVE[3])):
        with suppress(OSError, subprocess.TimeoutExpired):
            argv = [*(_REMOVE if low_priority else _REMOVE[3:]), str(folder)]
            entry = audit.begin(argv, why="remove a folder of the run")
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                cwd="/",
                env=base_environ(),
                check=False,
            )
            entry.end(done.returncode)
    shutil.rmtree(str(folder), ignore_errors=True)
