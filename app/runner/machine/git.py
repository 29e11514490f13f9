"""git commands on the instance. Its own configuration stays in force (mirrors by `insteadOf`, proxies, credentials)."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional, Sequence

from app.protocol.snapshot import Problem
from app.runner.machine.git_progress import GitProgress, Received
from app.runner.machine.local_git_config import FIXED, Judged, LocalGitConfig
from app.runner.machine.room import Room
from app.runner.process import git_environ
from app.runner.process.children import Children, Finished, Limits
from app.runner.process.errors import RunCancelled, RunFault
from app.runner.process.limits import RunLimits
from app.runner.process.refused import refused

_LOCAL = Limits(idle=60.0, total=300.0)
_REFS = Limits(idle=10.0, total=15.0)
_REFS_BYTES = 4 * 1024 * 1024
_CONFIG_BYTES = 1024 * 1024
"""Of a configuration; what has more is not read, as its beginning would be missing."""
_SETTINGS = (
    ("safe.directory", "*"),
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("fetch.unpackLimit", "1"),
    ("gc.auto", "0"),
)
Progress = Callable[[Received], None]
DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all")
"""Compares files, and starts no program for it."""
_AWAY = Path("/proc")
"""A folder that is in no repository."""
_GIVES = "%s= git-upload-pack" % git_environ.ONLY
_REFUSED_HINT = "Look at the file .git/config in that folder on the instance; correct it, or move the folder away."


def find_git() -> str:
    """The git to use. Raises RunFault when there is none."""
    found = shutil.which("git") or shutil.which("git", path="/usr/bin:/usr/local/bin:/bin")
    if not found:
        raise RunFault(
            "git_missing", "git is not installed on the instance.", "Install it there: apt-get install -y git"
        )
    return found


@dataclass
class GitRules:
    """What holds for all gits of a run: over which protocols they go, how much they may write, and what they found in
    repositories' own configuration. `on_found` gets a folder and the keys in it that are not obeyed, each time."""

    schemes: Sequence[str] = git_environ.USUAL_SCHEMES
    room: Room = field(default_factory=Room)
    configs: Optional[LocalGitConfig] = None
    on_found: Callable[[Path, Sequence[str]], None] = lambda _folder, _keys: None


class Git:
    """Runs git for one purpose: its output goes to one log. `http_version`, e.g. `HTTP/1.1`, for servers that
    cut HTTP/2; `environ`: variables that it needs. It runs nothing that a repository's own configuration names."""

    def __init__(
        self,
        children: Children,
        program: str,
        limits: RunLimits,
        log: Optional[Path] = None,
        *,
        http_version: str = "",
        environ: Optional[Mapping[str, str]] = None,
        rules: Optional[GitRules] = None,
    ) -> None:
        self._children = children
        self._program = program
        self._environ = environ or {}
        self._log = log
        self._limits = limits.git
        self._rules = rules or GitRules()
        if self._rules.configs is None:
            self._rules.configs = LocalGitConfig(self._config_away)
        settings = [*_SETTINGS, ("http.lowSpeedTime", str(limits.low_speed))]
        settings += [("http.version", http_version)] if http_version else []
        self._base = [program] + [part for key, value in settings for part in ("-c", "%s=%s" % (key, value))]

    @property
    def schemes(self) -> Sequence[str]:
        """Over which protocols it may go."""
        return self._rules.schemes

    def network(
        self, *args: str, cwd: Path, on_progress: Optional[Progress] = None, grows: Optional[Path] = None
    ) -> Finished:
        """A command that downloads. `grows`: the folder that it writes to, if not `cwd`."""
        parser = GitProgress()

        def on_output(piece: bytes) -> None:
            received = parser.feed(piece) if piece else parser.newest  # in silence too: it may not have been told
            if received and on_progress:
                on_progress(received)

        return self._watched(args, cwd, grows or cwd, brings=True, limits=self._limits, on_output=on_output)

    def remote_refs(self, address: str, *, cwd: Path) -> Finished:
        """HEAD, branches and tags of a repository elsewhere, with what git says of a redirect; soon, or not at all. It
        is in no log: an address may have a login."""
        argv = ["ls-remote", "--", address, "HEAD", "refs/heads/*", "refs/tags/*"]
        return self._run(self._children, argv, cwd, limits=_REFS, keep_bytes=_REFS_BYTES)

    def local(self, *args: str, cwd: Path) -> Finished:
        """A command on a checkout that is there."""
        return self._watched(args, cwd, cwd, limits=_LOCAL)

    def fetch_from(self, folder: Path, spec: str, *, cwd: Path) -> Finished:
        """Brings something from another folder of this machine. The git that gives it may fetch nothing."""
        args = ("fetch", "-q", "--no-tags", "--update-shallow", "--upload-pack", _GIVES, "--", str(folder), spec)
        return self._run(self._children, args, cwd, limits=_LOCAL, log=self._log, also=("file",))

    def ask(self, *args: str, cwd: Path) -> Optional[bytes]:
        """What a local command prints, its warnings left out; None when it fails."""
        finished = self._run(self._children, args, cwd, limits=_LOCAL, keep_bytes=64 * 1024 * 1024, only_stdout=True)
        return finished.raw if finished.ok else None

    def too_large(self, commit: str, *, cwd: Path) -> Optional[Finished]:
        """A failure where the files of a commit would be more than may be written. They are not written for that."""
        rest, found, over = b"", [0.0, 0.0], threading.Event()
        problem: List[Problem] = []

        def on_output(piece: bytes) -> None:
            nonlocal rest
            *lines, rest = (rest + piece).split(b"\0")
            sizes = [line.split(b"\t", 1)[0].split()[-1] for line in lines if line]
            found[0] += sum(int(size) for size in sizes if size.isdigit())
            found[1] += len(sizes)
            why = self._rules.room.problem((found[0], found[1]), cwd, coming=found[0])
            if why is not None and not over.is_set():
                problem.append(why)
                over.set()

        argv = ["ls-tree", "-r", "-l", "-z", "--full-tree", commit]
        with suppress(RunCancelled):
            self._run(self._children.until(over), argv, cwd, limits=_LOCAL, only_stdout=True, on_output=on_output)
        return refused(problem[0]) if problem else None

    def refusal(self, folder: Path) -> Optional[Problem]:
        """Why git does not work in a folder, whatever it is asked; None where it does."""
        found = self._found(folder)
        return _refusal(folder, found) if found.refused else None

    def line(self, *args: str, cwd: Path) -> Optional[str]:
        """As `ask`, for a line of text."""
        said = self.ask(*args, cwd=cwd)
        return None if said is None else said.decode("utf-8", "replace").strip()

    def untracked(self, checkout: Path) -> List[str]:
        """The paths of the files that git does not track, ignored ones included; a repository in it is one path.
        Raises OSError when git does not say: what is not known may not be thrown away."""
        said = self.ask("ls-files", "-z", "--others", cwd=checkout)
        if said is None:
            raise OSError(errno.EIO, "git could not list the untracked files of %s" % checkout)
        return [os.fsdecode(name) for name in said.split(b"\0") if name]

    def head(self, checkout: Path) -> Optional[str]:
        """The commit that is checked out (40 hex digits); None when `checkout` is no repository of its own."""
        if not (checkout / ".git").exists():
            return None
        found = self.line("rev-parse", "--verify", "HEAD", cwd=checkout)
        return found if found and len(found) == 40 else None

    def _watched(self, args: Sequence[str], cwd: Path, grows: Path, *, brings: bool = False, **how: Any) -> Finished:
        """Runs git until it ends, or has written too much."""
        with self._rules.room.watch(grows) as watch:
            try:
                finished = self._run(self._children.until(watch.over), args, cwd, log=self._log, **how)
                problem = watch.last_look() if finished.ok and brings else None
                return finished if problem is None else refused(problem)
            except RunCancelled:
                if watch.problem is None:
                    raise
                return refused(watch.problem)

    def _run(
        self, children: Children, args: Sequence[str], cwd: Path, *, also: Sequence[str] = (), **how: Any
    ) -> Finished:
        found = self._found(cwd)
        if found.refused:
            return refused(_refusal(cwd, found))
        if found.told:
            self._rules.on_found(cwd, found.told)
        environ = {
            **self._environ,
            # a folder with a broken `.git` is not taken for a part of the repository around it, ComfyUI's own
            "GIT_CEILING_DIRECTORIES": os.path.dirname(os.path.realpath(str(cwd))),
            "GIT_PAGER": "cat",
            git_environ.ONLY: git_environ.only([*self.schemes, *also]),
            git_environ.VARIABLE: git_environ.as_parameters([*FIXED, *found.overrules]),
        }
        return children.run([*self._base, *args], cwd=cwd, environ=environ, **how)

    def _found(self, folder: Path) -> Judged:
        return self._rules.configs.of(folder) if self._rules.configs else Judged()

    def _config_away(self, args: Sequence[str]) -> Optional[bytes]:
        """`git config -z`, away from any repository."""
        argv = [self._program, "config", "-z", *args]
        environ = {**self._environ, "GIT_CEILING_DIRECTORIES": "/"}
        finished = self._children.run(
            argv, cwd=_AWAY, environ=environ, limits=_LOCAL, keep_bytes=_CONFIG_BYTES, only_stdout=True
        )
        return finished.raw if finished.ok and len(finished.raw) < _CONFIG_BYTES else None


def _refusal(folder: Path, found: Judged) -> Problem:
    text = "git was not run in %s, because of its own configuration: %s. The folder was left untouched."
    return Problem("git_config_refused", text % (folder, found.refused), _REFUSED_HINT)
