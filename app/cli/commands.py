"""The command line's entry: the group of commands, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from app.cli.config import config
from app.cli.errors import EXIT_INTERRUPTED, CliError
from app.cli.hostkeys import hostkeys
from app.cli.install import install
from app.cli.pyz import pyz
from app.cli.tasks import tasks
from app.cli.workflow import workflow
from app.domain.errors import AppError


class _Commands(click.Group):
    """A group whose errors are sentences. `serve` and `demo` bring the whole service, so they are loaded late."""

    _LATE = ("serve", "demo")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, the usual first."""
        return [*self._LATE, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name == "serve":
            from app.cli.serve import serve

            return serve
        if cmd_name == "demo":
            from app.cli.demo import demo

            return demo
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Ctrl-C at a place without a question of its own ends with 130."""
        try:
            return super().invoke(ctx)
        except AppError as exc:
            raise CliError.of(exc) from exc
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(EXIT_INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Nodeferry: paste an SSH command, and the machine behind it gets its ComfyUI node packs, each one visible."""


for _command in (install, workflow, tasks, hostkeys, config, pyz):
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line with `argv` (default: the process's own) and exit."""
    cli.main(args=None if argv is None else list(argv))
