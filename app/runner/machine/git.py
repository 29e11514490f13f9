"""git commands on the instance. Its own configuration stays in force (mirrors by `insteadOf`, proxies, credentials)."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional

from app.runner.machine.git_progress import GitProgress, Received
from app.runner.process.children import Children, Finished, Limits
from app.runner.process.errors import RunFault
from app.runner.process.limits import RunLimits

_LOCAL = Limits(idle=60.0, total=300.0)
_REFS = Limits(idle=10.0, total=15.0)
_REFS_BYTES = 4 * 1024 * 1024
_SETTINGS = (
    ("safe.directory", "*"),
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("fetch.unpackLimit", "1"),
    ("gc.auto", "0"),
)
Progress = Callable[[Received], None]


def find_git() -> str:
    """The git to use. Raises RunFault when there is none."""
    found = shutil.which("git") or shutil.which("git", path="/usr/bin:/usr/local/bin:/bin")
    if not found:
        raise RunFault(
            "git_missing", "git is not installed on the instance.", "Install it there: apt-get install -y git"
        )
    return found


class Git:
    """Runs git for one purpose: its output goes to one log. `http_version`, e.g. `HTTP/1.1`, for servers that
    cut HTTP/2; `environ`: variables that it needs."""

    def __init__(
        self,
        children: Children,
        program: str,
        limits: RunLimits,
        log: Optional[Path] = None,
        *,
        http_version: str = "",
        environ: Optional[Mapping[str, str]] = None,
    ) -> None:
        self._children = children
        self._environ = environ or {}
        self._log = log
        self._limits = limits.git
        settings = [*_SETTINGS, ("http.lowSpeedTime", str(limits.low_speed))]
        settings += [("http.version", http_version)] if http_version else []
        self._base = [program] + [part for key, value in settings for part in ("-c", "%s=%s" % (key, value))]

    def network(self, *args: str, cwd: Path, on_progress: Optional[Progress] = None) -> Finished:
        """A command that downloads."""
        parser = GitProgress()

        def on_output(piece: bytes) -> None:
            received = parser.feed(piece)
            if received and on_progress:
                on_progress(received)

        return self._children.run(
            [*self._base, *args],
            cwd=cwd,
            environ=self._only_here(cwd),
            limits=self._limits,
            on_output=on_output,
            log=self._log,
        )

    def remote_refs(self, address: str, *, cwd: Path) -> Finished:
        """HEAD, branches and tags of a repository elsewhere, with what git says of a redirect; soon, or not at all. It
        is in no log: an address may have a login."""
        argv = [*self._base, "ls-remote", "--", address, "HEAD", "refs/heads/*", "refs/tags/*"]
        return self._children.run(argv, cwd=cwd, environ=self._only_here(cwd), limits=_REFS, keep_bytes=_REFS_BYTES)

    def local(self, *args: str, cwd: Path) -> Finished:
        """A command on a checkout that is there."""
        return self._children.run(
            [*self._base, *args], cwd=cwd, environ=self._only_here(cwd), limits=_LOCAL, log=self._log
        )

    def ask(self, *args: str, cwd: Path) -> Optional[bytes]:
        """What a local command prints, its warnings left out; None when it fails."""
        argv = [*self._base, *args]
        finished = self._children.run(
            argv, cwd=cwd, environ=self._only_here(cwd), limits=_LOCAL, keep_bytes=64 * 1024 * 1024, only_stdout=True
        )
        return finished.raw if finished.ok else None

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

    def _only_here(self, cwd: Path) -> Dict[str, str]:
        """A folder with a broken `.git` is not taken for a part of the repository around it, ComfyUI's own."""
        return {**self._environ, "GIT_CEILING_DIRECTORIES": os.path.realpath(str(cwd.parent))}
