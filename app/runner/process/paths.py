"""Where the runner keeps things on the instance. Nothing else of the user's home is touched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from app.protocol import log_names
from app.protocol.task_id import is_task_id
from app.runner.process.private_files import private


class BadTaskId(ValueError):
    """A task_id that is no UUID: it may not become a path."""


def state_folder() -> Path:
    """The runner's own folder, `~/.local/state/nodeferry`."""
    return Path(os.path.expanduser("~")) / ".local" / "state" / "nodeferry"


@dataclass(frozen=True)
class Task:
    """The files of one run."""

    task_id: str

    def __post_init__(self) -> None:
        if not is_task_id(self.task_id):
            raise BadTaskId("not a task_id: %.60r" % self.task_id)

    @property
    def folder(self) -> Path:
        """All of the run's files but the snapshot in /tmp."""
        return state_folder() / self.task_id

    @property
    def journal(self) -> Path:
        """The numbered events, a line each."""
        return self.folder / "journal.ndjson"

    @property
    def request(self) -> Path:
        """What was asked for."""
        return self.folder / "request.json"

    @property
    def lock(self) -> Path:
        """Held by the runner alone, for as long as it lives."""
        return self.folder / "lock"

    @property
    def cancel(self) -> Path:
        """Exists once the run was asked to stop."""
        return self.folder / "cancel"

    @property
    def skips(self) -> Path:
        """A folder with a file for each build that is to be skipped."""
        return self.folder / "skips"

    @property
    def answers(self) -> Path:
        """A folder with a file for each question that was answered, named by its id."""
        return self.folder / "answers"

    @property
    def groups(self) -> Path:
        """The process groups that the run started, a line each."""
        return self.folder / "groups"

    @property
    def released(self) -> Path:
        """What the run started to outlive it, a line each."""
        return self.folder / "released"

    @property
    def inherited(self) -> Path:
        """Empty: the run and its programs have it open, and nobody else."""
        return self.folder / "inherited"

    @property
    def log(self) -> Path:
        """What the runner itself has to say."""
        return self.folder / log_names.RUN_LOG

    @property
    def progress(self) -> Path:
        """The journal's part of the snapshot, for `ssh … cat`."""
        return Path("/tmp/custom_nodes_progress_%s.json" % self.task_id)  # noqa: S108 - the path users know; made anew each time

    @property
    def comfyui(self) -> Optional[Tuple[Path, Path]]:
        """ComfyUI's folder and its base directory, as the run noted them; None where it did not come so far, or is of
        an earlier version."""
        try:
            ui_home, base = (self.folder / "comfyui-folders").read_text("utf-8", "surrogateescape").split("\0")
        except (OSError, ValueError):
            return None
        return Path(ui_home), Path(base)

    def note_comfyui(self, ui_home: Path, base: Path) -> None:
        """Notes them for a sweep, before the run makes anything there. Raises OSError."""
        self._note("comfyui-folders", "%s\0%s" % (ui_home, base))

    def note_staging(self, staging: Path) -> None:
        """Notes it for a sweep, before it is made. Raises OSError."""
        self._note("staging", str(staging))

    def _note(self, name: str, text: str) -> None:
        with open(str(self.folder / name), "w", encoding="utf-8", errors="surrogateescape", opener=private) as file:
            file.write(text)

    @property
    def shared_folder(self) -> Path:
        """What ComfyUI's user works in, where that is not the runner's own: it may not look into our home."""
        return Path("/tmp/nodeferry-%s" % self.task_id)  # noqa: S108 - made with mkdir, which takes no folder of others

    @property
    def lent_folder(self) -> Path:
        """What the programs of the run get for its time: a folder for temporary files, and a pip."""
        return Path("/tmp/nodeferry-%s.lent" % self.task_id)  # noqa: S108 - as above

    def node_log(self, name: str) -> Path:
        """The output of what ran for one node pack."""
        return self.folder / log_names.node_log(name)


def ui_home_lock(ui_home: Path) -> Path:
    """The lock of one ComfyUI. In the home, not in the tree: flock is not to be trusted on network volumes."""
    import hashlib  # loads OpenSSL, which most calls of the runner need not

    name = hashlib.sha256(os.path.realpath(ui_home).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return state_folder() / "locks" / ("ui_home-%s.lock" % name)


def tools_folder() -> Path:
    """What the runner installed for itself (uv), kept from run to run."""
    return state_folder() / "tools"


def staging_name(task_id: str) -> str:
    """The folder under custom_nodes where clones grow. ComfyUI skips names that end in `.disabled`."""
    return ".nodeferry-%s.disabled" % task_id
