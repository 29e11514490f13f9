"""Where the programs of a run keep their temporary files: pip and builds that are ended leave theirs behind."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Dict

from app.runner.process.paths import Task


def own_temporary_folder(task: Task) -> Dict[str, str]:
    """Makes the run's own folder in the machine's; the variable that names it. Empty where it cannot be made, and where
    the login has a TMPDIR of its own, which may lie on a larger disk. It is the run's alone until `let_others_in`."""
    folder = task.lent_folder / "tmp"
    if os.environ.get("TMPDIR"):
        return {}
    try:
        task.lent_folder.mkdir(mode=0o700)  # takes no folder of others
        folder.mkdir(mode=0o700)
    except OSError:
        return {}
    return {"TMPDIR": str(folder)}


def let_others_in(task: Task) -> None:
    """From now on everybody may write into it, as into /tmp: ComfyUI is another user's."""
    lent = task.lent_folder
    with suppress(OSError):
        if lent.lstat().st_uid == os.geteuid():  # else somebody else has taken its place
            os.chmod(str(lent), 0o755)  # noqa: S103 - what is lent to others
            os.chmod(str(lent / "tmp"), 0o1777)  # noqa: S103 - as /tmp
