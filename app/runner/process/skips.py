"""The builds that the user asked to skip: a file for each in the task's folder, which the `skip` command makes."""

from __future__ import annotations

import os
import shutil

from app.protocol.builds import package_key
from app.protocol.log_names import file_name
from app.runner.process.paths import Task


class Skips:
    """What is to be skipped of one run. Every method may be called from any thread."""

    def __init__(self, task: Task) -> None:
        self._folder = str(task.skips)

    def asked(self, package: str) -> bool:
        """Whether the build of a package is to be skipped. One stat(2): cheap enough to ask several times a second."""
        return os.path.exists(self._path(package))

    def ask(self, package: str) -> None:
        """Asks for it; a second time changes nothing. Raises OSError."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        os.close(os.open(self._path(package), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def clear(self) -> None:
        """Forgets everything that was asked for before this run."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, package: str) -> str:
        """`.skip` behind the name, since `..` and `.` are names too."""
        return os.path.join(self._folder, file_name(package_key(package)) + ".skip")
