"""Where the programs of a run keep their temporary files: pip and builds that are ended leave theirs behind."""

from __future__ import annotations

import os
from typing import Dict

from app.runner.process.paths import Task


def own_temporary_folder(task: Task) -> Dict[str, str]:
    """Makes the run's own folder in the machine's; the variable that names it. Empty where it cannot be made, and where
    the login has a TMPDIR of its own, which may lie on a larger disk. Everybody may write into it, as into /tmp:
    ComfyUI may be another user's."""
    folder = task.lent_folder / "tmp"
    if os.environ.get("TMPDIR"):
        return {}
    try:
        task.lent_folder.mkdir(mode=0o755)  # takes no folder of others
        folder.mkdir()
        os.chmod(str(task.lent_folder), 0o755)  # noqa: S103 - whatever the umask is
        os.chmod(str(folder), 0o1777)  # noqa: S103 - as /tmp
    except OSError:
        return {}
    return {"TMPDIR": str(folder)}
