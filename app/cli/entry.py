"""The command line's entry: the group of commands, and what becomes of errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from app.cli import output
from app.cli.errors import EXIT_INTERRUPTED, CliError, ServiceUnreachable
from app.cli.view.say import say, say_document
from app.domain.errors import AppError
from app.protocol.terminal_text import one_line
from app.version import VERSION

_COMMANDS = (
    *("serve", "demo", "install", "workflow", "tasks", "wheels", "hostkeys", "key", "token", "config", "pyz"),
    "worker",
)
_EPILOG = """\b
Exit status:
  0    done; for an install or a workflow: all node packs are ready
  1    refused, failed, no node pack is ready, or not what --require asks for
  2    not a command line
  3    some node packs are ready
  130  interrupted, or stopped

With --json every command writes one document to stdout: {"ok", "exit_status", "data", "error": {"code", "message",
"hint", "field"}}. docs/cli.md has every command with an example.
"""


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
        for each in command.commands.values() if isinstance(command, click.Group) else (command,):
            output.with_output_options(each)
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

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> NoReturn:
        """Run a command line and exit; with --json after the one document that says how it went."""
        words = list(sys.argv[1:] if args is None else args)
        now = output.begin(words)
        if not now.as_json:
            try:
                super().main(words, *more, **extra)
            except SystemExit as exc:
                _say_the_end(now, exc.code)
                raise
        status = self._status(words, *more, **{**extra, "standalone_mode": False})
        say_document(output.document(status), has_secret=now.has_secret)
        sys.exit(status)

    def _status(self, words: list[str], *more: Any, **extra: Any) -> int:
        """The exit status; what was wrong is noted for the document."""
        try:
            status = super().main(words, *more, **extra)
        except CliError as exc:
            own = "service_unreachable" if isinstance(exc, ServiceUnreachable) else "refused"
            output.put_error(exc.code or own, one_line(exc.message), exc.hint, exc.field)
            return exc.exit_code
        except click.ClickException as exc:
            code = "usage" if isinstance(exc, click.UsageError) else "refused"
            output.put_error(code, one_line(exc.format_message()))
            return exc.exit_code
        except click.Abort:
            output.put_error("interrupted", "It was interrupted, or nobody could be asked.")
            return output.EXIT_FAILED
        except SystemExit as exc:
            return exc.code if isinstance(exc.code, int) else output.EXIT_FAILED
        return status if isinstance(status, int) else 0


def _say_the_end(now: output.Output, code: object) -> None:
    """With --quiet a run that ended badly has said nothing so far."""
    if now.quiet and code not in {0, None} and now.said:
        say(now.said, err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(VERSION, prog_name="nodeferry", message="%(prog)s %(version)s")
def cli() -> None:
    """Nodeferry: paste an SSH command, and the machine behind it gets its ComfyUI node packs, each one visible."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line with `argv` (default: the process's own) and exit."""
    cli.main(args=None if argv is None else list(argv))
