"""git commands on the instance. Its own configuration stays in force (mirrors by `insteadOf`, proxies, credentials)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from app.runner.children import Children, Finished, Limits
from app.runner.faults import RunFault
from app.runner.git_progress import GitProgress, Received

_LIMITS = Limits(idle=120.0, total=3600.0)
_LOCAL = Limits(idle=60.0, total=300.0)
_SETTINGS = (
    ("safe.directory", "*"),
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    ("fetch.unpackLimit", "1"),
    ("gc.auto", "0"),
)
Progress = Callable[[Received], None]


def find_git() -> str:
    """The git to use. Raises RunFault when there is none."""
    found = shutil.which("git") or shutil.which("git", path="/usr/bin:/usr/local/bin:/bin")
    if not found:
        raise RunFault("git_missing", "The instance has no git.", "Install it there: apt-get install -y git")
    return found


class Git:
    """Runs git for one purpose: its output goes to one log. `http_version`, e.g. `HTTP/1.1`, for servers that
    cut HTTP/2."""

    def __init__(self, children: Children, program: str, log: Optional[Path] = None, http_version: str = "") -> None:
        self._children = children
        self._log = log
        settings = [*_SETTINGS, *([("http.version", http_version)] if http_version else [])]
        self._base = [program] + [part for key, value in settings for part in ("-c", "%s=%s" % (key, value))]

    def network(self, *args: str, cwd: Path, on_progress: Optional[Progress] = None) -> Finished:
        """A command that downloads."""
        return self._run(args, cwd, _LIMITS, on_progress)

    def local(self, *args: str, cwd: Path) -> Finished:
        """A command on a checkout that is there."""
        return self._run(args, cwd, _LOCAL, None)

    def line(self, *args: str, cwd: Path) -> Optional[str]:
        """The one line that a local command prints; None when it fails."""
        finished = self.local(*args, cwd=cwd)
        return finished.output.strip() if finished.ok else None

    def untracked(self, checkout: Path) -> List[str]:
        """The paths of the files that git does not track, ignored ones included."""
        argv = [*self._base, "ls-files", "-z", "--others"]
        finished = self._children.run(argv, cwd=checkout, limits=_LOCAL, keep_bytes=64 * 1024 * 1024)
        return [name for name in finished.output.split("\0") if name]

    def head(self, checkout: Path) -> Optional[str]:
        """The commit that is checked out (40 hex digits); None when `checkout` is no repository of its own."""
        if not (checkout / ".git").exists():
            return None
        found = self.line("rev-parse", "--verify", "HEAD", cwd=checkout)
        return found if found and len(found) == 40 else None

    def _run(self, args: Tuple[str, ...], cwd: Path, limits: Limits, on_progress: Optional[Progress]) -> Finished:
        parser = GitProgress()

        def on_output(piece: bytes) -> None:
            received = parser.feed(piece)
            if received and on_progress:
                on_progress(received)

        argv = [*self._base, *args]
        return self._children.run(argv, cwd=cwd, limits=limits, on_output=on_output, log=self._log)
