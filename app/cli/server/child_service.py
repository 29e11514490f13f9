"""A service in a process of its own, for the demo: its own folder, HOME and settings, and nothing of the user's."""

from __future__ import annotations

import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.cli.errors import CliError
from app.cli.program import own_command
from app.settings import caller_environment

START_SECONDS = 30.0
CLOSE_SECONDS = 8.0
LAST_LINES = 5
_LINE = "Nodeferry on "
_OURS = ("HOME", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


@contextmanager
def child_service(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """The URL of a service that answers; `folder` (made here) is its HOME, data folder and log. `settings`: variables
    without their NODEFERRY_. Raises CliError with the log's last lines. At the end it is closed and waited for."""
    folder.mkdir(mode=0o700, parents=True)
    environment = caller_environment(_OURS) | {"HOME": str(folder)}
    environment |= {f"NODEFERRY_{name}": value for name, value in settings.items()}
    log = folder / "service.log"
    command = [*own_command(), "serve", "--port", "0", "--data-dir", str(folder / "service")]
    with (
        log.open("wb") as errors,
        # a session of its own: Ctrl-C in the terminal is for the demo, which ends its parts in order
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield _url(process, log)
        finally:
            process.terminate()
            try:
                process.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    """What the service prints when it answers."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline().decode("utf-8", "replace").strip() if ready else ""
    if line.startswith(_LINE):
        return line.removeprefix(_LINE)
    why = "did not start" if time.monotonic() < deadline else f"did not answer within {START_SECONDS:.0f} s"
    last = log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:]
    raise CliError(f"The service {why}.", hint="\n".join(last))
