"""The command line's entry: the group of commands, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from app.cli.errors import EXIT_INTERRUPTED, CliError
from app.cli.view.say import say
from app.domain.errors import AppError
from app.protocol.terminal_text import one_line

_COMMANDS = ("serve", "demo", "install", "workflow", "tasks", "wheels", "hostkeys", "key", "token", "config", "pyz")


class _Commands(click.Group):
    """A group whose errors are sentences. Each command is a module of its name that is loaded when it is called: a
    service that is started again must answer at once, and does not wait for what the others need."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click gives it
        """All of them, the usual first."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click gives it
        """The command of that name."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"app.cli.commands.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Ctrl-C at a place without a question of its own ends with 130."""
        try:
            return super().invoke(ctx)
        except AppError as exc:
            raise CliError.of(exc) from exc
        except click.UsageError as exc:
            # it repeats what was typed or pasted
            raise click.UsageError(one_line(exc.format_message()), exc.ctx) from exc
        except KeyboardInterrupt:
            say("Interrupted.", err=True)
            ctx.exit(EXIT_INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Nodeferry: paste an SSH command, and the machine behind it gets its ComfyUI node packs, each one visible."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line with `argv` (default: the process's own) and exit."""
    cli.main(args=None if argv is None else list(argv))
