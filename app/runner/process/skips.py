"""The builds that the user asked to skip: a file for each in the task's folder, which the `skip` command makes."""

from __future__ import annotations

import os
import shutil
from typing import Optional

from app.protocol.builds import package_key
from app.protocol.log_names import file_name
from app.protocol.seal import SKIP, Seal
from app.runner.process.paths import Task
from app.runner.process.private_files import unfollowed

_MAX_BYTES = 128


class Skips:
    """What is to be skipped of one run. Every method may be called from any thread."""

    def __init__(self, task: Task, seal: Optional[Seal] = None) -> None:
        """`seal`: the run's; only who reads skips needs it."""
        self._folder = str(task.skips)
        self._seal = seal

    def asked(self, package: str) -> bool:
        """Whether the user wants the build of a package skipped. Cheap enough to ask several times a second."""
        path = self._path(package)
        if not os.path.exists(path):
            return False
        if self._seal is None:
            return True
        try:
            with open(path, "rb", opener=unfollowed) as file:
                mark = file.read(_MAX_BYTES).decode("ascii", "replace")
        except OSError:
            return False
        return self._seal.has_word(mark, SKIP, package_key(package))

    def ask(self, package: str, mark: str = "") -> None:
        """Asks for it; a second time changes nothing. Raises OSError."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        fd = os.open(self._path(package), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(mark.encode("ascii", "replace"))

    def clear(self) -> None:
        """Forgets everything that was asked for before this run."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, package: str) -> str:
        """`.skip` behind the name, since `..` and `.` are names too."""
        return os.path.join(self._folder, file_name(package_key(package)) + ".skip")
