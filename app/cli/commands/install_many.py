"""`install --machines FILE`: the same on all machines of a file, as one fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console

from app.cli.api.connection import connection
from app.cli.api.machine_file import Machine, machines_in
from app.cli.api.questions import is_interactive
from app.cli.api.which_home import careful
from app.cli.api.workflow_lists import Answering, Asked, manifest_of_workflows
from app.cli.commands.fleet import install_on_all
from app.cli.commands.request_body import request_body


def _read(_ctx: click.Context, _param: click.Parameter, given: IO[bytes] | None) -> Sequence[Machine] | None:
    return None if given is None else machines_in(given)


def machines_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of an install on many machines."""
    for option in (
        click.option("--per-host", type=click.IntRange(1, 1000), help="With --machines: installs at once on one host."),
        click.option("--at-once", type=click.IntRange(1, 1000), help="With --machines: installs at once in all."),
        click.option(
            "--machines",
            type=click.File("rb"),
            callback=_read,
            metavar="FILE",
            help="Install on all machines of a file: an SSH command a line (# begins a comment), a CSV with columns "
            "ssh_connection (or host, port, user), ui_home, venv_path, or what vastai show instances --raw prints. "
            "- reads standard input.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class OnAll:
    """An install on all machines of a file."""

    machines: Sequence[Machine]
    sources: Asked
    answers: Mapping[str, str]
    _: KW_ONLY
    remember: bool
    server: str | None
    data_dir: Path | None

    def install(
        self, manifest: Mapping[str, Any] | None, asked: Mapping[str, Any], console: Console, *, alone: bool
    ) -> int:
        """The exit status. `alone`: no other machine is named."""
        if not alone or self.sources.check_only:
            raise click.UsageError("--machines stands in place of SSH_COMMAND, and without --check-only.")
        first = self.machines[0].entry["ssh_connection"]
        with connection(self.server, self.data_dir) as api:
            if self.sources.option:
                how = Answering(self.answers, first, self.remember, not asked["yes"] and is_interactive(console))
                manifest, _ = manifest_of_workflows(api, self.sources, console, how)
            limits = {name: asked[name] for name in ("at_once", "per_host")}
            body = request_body(first, manifest, **careful(asked, first)) | {"limits": limits}
            where = {"server": self.server, "data_dir": self.data_dir}
            return install_on_all(api, body, self.machines, console, require=asked["require"], where=where)
