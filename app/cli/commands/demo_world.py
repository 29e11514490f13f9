"""What the demo installs on and with: a git server with node packs, a stand-in instance, a service; all temporary."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from app.cli.errors import CliError
from app.cli.server.child_service import child_service
from app.cli.signals import ignore_signals
from app.settings import caller_environment
from app.standin.demo_packs import make_demo_packs
from app.standin.git_server import GitServer
from app.standin.instance import StandIn

_PACKAGES = {"git": "git", "sshd": "openssh-server"}
SETTINGS = {"ALLOWED_GIT_SCHEMES": "https,ssh,http"}


@dataclass(frozen=True, slots=True)
class World:
    """A demo that is up. `request`: the body of the start."""

    folder: Path
    url: str
    instance: StandIn
    request: dict[str, Any]


@contextmanager
def demo_world(console: Console) -> Iterator[World]:
    """Everything up, a line for each part; at the end nothing of it is left, also when a part does not come up."""
    folders = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin"
    missing = [name for name in ("git", "sshd") if not (shutil.which(name) or shutil.which(name, path=folders))]
    if missing:  # better said now than after seconds of setting up
        packages = " ".join(_PACKAGES[name] for name in missing)
        raise CliError(
            f"The demo needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not here.",
            hint=f"On Debian and Ubuntu: sudo apt-get install {packages} (no SSH server has to run for it).",
        )
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="nodeferry-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with _stage(console, "node packs and their git server"):
            server = stack.enter_context(GitServer(folder / "git"))
            csv = make_demo_packs(server)
        with _stage(console, "a throw-away instance: sshd, ComfyUI, its Python environment"):
            instance = stack.enter_context(StandIn(folder / "instance", environ=caller_environment(), with_pip=False))
        with _stage(console, "the service"):
            url = stack.enter_context(child_service(folder / "home", SETTINGS))
        stack.callback(ignore_signals)  # called first: what is taken down is taken down
        request = {
            "ssh_connection": instance.ssh_command,
            "ui_home": str(instance.ui_home),
            "manifest": {"csv": csv},
        }
        yield World(folder, url, instance, request)


@contextmanager
def _stage(console: Console, what: str) -> Iterator[None]:
    """One line for a part that takes time, with its seconds when it is there."""
    started = time.monotonic()
    with console.status(f"Setting up {what}"):
        yield
    console.print(f"  {time.monotonic() - started:5.1f} s  {what}", highlight=False, soft_wrap=True)
