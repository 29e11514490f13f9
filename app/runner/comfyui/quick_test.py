"""ComfyUI itself, started in its quick test mode: it imports the packs and ends.

It gets folders and a database of its own, so that nothing of the user's is touched (ComfyUI empties its temp folder
when it starts), and the environment of the ComfyUI that runs, where one runs: images set what packs need there.

Where root logs in and ComfyUI is another user's, it runs as that user: what is verified can be read by them.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, List, Optional, Sequence

from app.runner.context import Context
from app.runner.machine.layout import running_with
from app.runner.policies.withheld import withheld
from app.runner.process.children import Finished, Limits
from app.runner.process.private_files import append_to_log
from app.runner.process.processes import MARK, environ_of
from app.runner.process.user import User

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
_NO_PACKS = "--disable-all-custom-nodes"
_NEEDED = ("--quick-test-for-ci", _NO_PACKS, "--user-directory", "--temp-directory")
_HELP_LIMITS = Limits(idle=120.0, total=120.0)
_OWN = frozenset({MARK, "HOME", "PWD", "OLDPWD", "SHLVL", "_", "LC_ALL", "PYTHONUTF8", "PYTHONUNBUFFERED", "TERM"})
_KEEP_BYTES = 8 * 1024 * 1024
WHITELIST = "--whitelist-custom-nodes"


_LEAST_IDLE = 60.0
_TIMES_BARE = 4.0
"""Packs may be silent for so many times what a start without any takes, at least `_LEAST_IDLE` seconds."""

_TABLE = b"Import times for custom nodes:"

_BUSY = 600.0
"""Some compile when they are imported, and print nothing of it."""
_STOPPED = {
    "idle": "it made no progress",
    "processes": "it started too many processes",
    "memory": "it used nearly all memory",
    "disk": "the disk became nearly full",
}


@dataclass(frozen=True)
class Start:
    """How a quick test ended. `got_through`: it came past the imports, since it opened its database, which it does
    after them; that it did not is only known where a start without packs does."""

    finished: Finished
    limits: Limits = _HELP_LIMITS
    got_through: bool = False

    @property
    def output(self) -> str:
        """What it printed."""
        return self.finished.output

    def how(self) -> str:
        """Its end in words."""
        if self.finished.stopped:
            return "it was stopped: %s" % _STOPPED.get(self.finished.stopped, "it took too long")
        return "it ended with exit status %d (%s)" % (self.finished.code, self.finished.last_lines(1)[:300])


class ComfyUI:
    """The ComfyUI of one run. Used by one thread at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.user: Optional[User] = context.ownership.user if context.ownership else None
        """As whom it runs; None: as the runner's own user."""
        self._log = context.task.folder / "imports.log"
        self._options: Optional[FrozenSet[str]] = None
        self._help_failed = ""
        self._told_of_left = False
        self.bare_seconds: Optional[float] = None
        """How long it took to start without packs; None before it has."""

    def why_not(self) -> str:
        """Why this ComfyUI cannot be asked; empty when it can. Raises RunCancelled."""
        options = self.options()
        if not options:
            return "main.py --help fails: %s" % (self._help_failed or "it lists no options")
        missing = [name for name in _NEEDED if name not in options]
        return "it is too old: it has no option %s" % missing[0] if missing else ""

    def options(self) -> FrozenSet[str]:
        """The options that its main.py has; empty when it does not tell. Raises RunCancelled."""
        if self._options is None:
            try:
                finished = self._run(["--help"], _HELP_LIMITS)
            except OSError:
                return frozenset()
            if not finished.ok:
                self._help_failed = Start(finished).how()
                return frozenset()
            self._options = frozenset(_OPTION.findall(finished.output))
        return self._options

    def become_root(self) -> None:
        """From now on it runs as root."""
        self.clean()
        self.user, self._options, self._help_failed = None, None, ""

    def bare(self, *, low_priority: bool = False) -> Start:
        """Without any pack; `low_priority`: what others do comes first. Raises OSError, RunCancelled."""
        started = time.monotonic()
        start = self._quick_test([_NO_PACKS], low_priority=low_priority)
        self.bare_seconds = time.monotonic() - started
        return start

    def with_all(self) -> Start:
        """With every pack that is there, but for those that are withheld. Raises OSError, RunCancelled."""
        if not withheld(self._context):
            return self._quick_test([])
        names = [name for name in self.present() if not name.startswith("-")]
        return self.with_only(names) if names else self._quick_test([_NO_PACKS])

    def with_only(self, names: Sequence[str]) -> Start:
        """With these entries of custom_nodes alone, and telling which it tries. Raises OSError, RunCancelled."""
        return self._quick_test(["--verbose", "DEBUG", _NO_PACKS, WHITELIST, *names])

    def present(self) -> List[str]:
        """The entries of custom_nodes that ComfyUI would import, by its own rule."""
        found, unwanted = [], withheld(self._context)
        others = [path for path in self._context.layout.others if path.is_dir()]
        for path in sorted(entry for folder in (self._context.custom_nodes, *others) for entry in folder.iterdir()):
            name = path.name
            if name.endswith(".disabled") or name == "__pycache__" or (path.is_file() and path.suffix != ".py"):
                continue
            if name not in unwanted:
                found.append(name)
        return list(dict.fromkeys(found))

    def clean(self) -> None:
        """Removes what the quick tests left in their folders."""
        shutil.rmtree(str(self._folder), ignore_errors=True)

    def _quick_test(self, arguments: List[str], *, low_priority: bool = False) -> Start:
        self.clean()
        folders = [["--%s-directory" % kind, str(self._made(kind))] for kind in ("user", "input", "output", "temp")]
        database = [["--database-url", "sqlite:///%s" % self._database]]
        options = self.options()
        known = [word for pair in folders + database if pair[0] in options for word in pair]
        known += self._context.layout.argv(options)
        cpu = ["--cpu"] if not self._context.has_gpu and "--cpu" in options else []
        limits = self._limits()
        finished = self._run(["--quick-test-for-ci", *cpu, *known, *arguments], limits, low_priority=low_priority)
        return Start(finished, limits, self._database.exists())

    def _has_shown_all(self, output: bytes) -> bool:
        """Whether its table is printed, its database open, and nothing was installed meanwhile: what comes after that
        says nothing of packs, and their threads may keep it from its end. Called while it is silent."""
        return self._database.exists() and _TABLE in output and self._context.unchanged() is not None

    @property
    def _folder(self) -> Path:
        task = self._context.task
        return task.shared_folder if self.user else task.folder / "comfyui"

    @property
    def _database(self) -> Path:
        return self._folder / "user" / "comfyui.db"

    def _limits(self) -> Limits:
        """Who hangs shall not cost more than it must: what a start without packs takes is known by then."""
        usual = self._context.limits.imports
        known = usual.idle if self.bare_seconds is None else max(_LEAST_IDLE, _TIMES_BARE * self.bare_seconds)
        idle = min(usual.idle, known)
        return Limits(idle, usual.total, busy=max(idle, _BUSY), ask_stack=True, load=usual.load)

    def _made(self, kind: str) -> Path:
        """The folders of another user lie in one of root's, where nobody can put others in their place."""
        folder = self._folder / kind
        with suppress(FileExistsError):
            self._folder.mkdir(mode=0o711)
        if self._folder.lstat().st_uid != os.geteuid():
            raise OSError(errno.EPERM, "%s belongs to somebody else" % self._folder)
        folder.mkdir(exist_ok=True, mode=0o700)
        if self.user:
            os.chown(str(folder), self.user.uid, self.user.gid, follow_symlinks=False)
        return folder

    def _run(self, arguments: List[str], limits: Limits, *, low_priority: bool = False) -> Finished:
        context = self._context
        environ = self._environ()
        if arguments[-1:] != [_NO_PACKS] and arguments != ["--help"]:
            environ.update(context.protections(environ))
        append_to_log(self._log, "\n# main.py %s\n" % " ".join(arguments))
        finished = context.children.run(
            [context.executable, "main.py", *arguments],
            cwd=context.ui_home,
            environ={**environ, "PYTHONFAULTHANDLER": "1", "COLUMNS": "200"},
            limits=limits,
            log=self._log,
            keep_bytes=_KEEP_BYTES,
            low_priority=low_priority,
            user=self.user,
            enough=self._has_shown_all,
        )
        if finished.left and not self._told_of_left:
            self._told_of_left = True
            context.warn(
                "left_running",
                "Packs started programs when ComfyUI imported them, which were ended: %s." % ", ".join(finished.left),
                "They start again when ComfyUI does.",
            )
        return finished

    def _environ(self) -> Dict[str, str]:
        """The running ComfyUI's, but for what belongs to its login, unless it runs as the same user."""
        running = running_with(self._context.ui_home, self._context.base)
        given: Dict[str, str] = environ_of(running[0].pid) if running else {}
        own = {name: value for name, value in given.items() if name not in _OWN}
        if self.user is None:
            packs = [each for each in self._context.custom_nodes.iterdir() if (each / ".git").exists()]
            return {**self._context.safe_for_git(packs), **own}
        home = {"HOME": given["HOME"]} if "HOME" in given else {}
        return {"PYTHONDONTWRITEBYTECODE": "", **self.user.environ(self._made("home")), **own, **home}
