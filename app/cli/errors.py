"""What the command line says when something went wrong: one sentence, the field, what to do. Never a traceback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

import click

from app.cli.view.say import say
from app.domain.errors import AppError
from app.protocol.terminal_text import one_line

EXIT_INTERRUPTED = 130


class CliError(click.ClickException):
    """A failure to show. `exit_code` 1; `code` is the API's word for it, where it came from there."""

    def __init__(self, message: str, *, hint: str = "", field: str | None = None, code: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.field = field
        self.code = code
        self.wrong_entries: Sequence[Mapping[str, Any]] = ()
        """Where several entries of a list are wrong, each: its `field` and `message`."""

    @classmethod
    def of(cls, error: AppError) -> CliError:
        """The error of the service's own code as the command line shows it."""
        return cls(error.message, hint=error.hint, field=error.field, code=error.code)

    def format_message(self) -> str:
        """The sentence, then field and hint on lines of their own."""
        lines = [one_line(self.message)]
        if self.field:
            lines.append(f"  field: {one_line(self.field)}")
        if self.hint:
            lines.append(f"  hint:  {self.hint}".replace("\n", "\n         "))
        return "\n".join(lines)

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it to stderr."""
        say(f"Error: {self.format_message()}", err=True, file=file)


class ServiceUnreachable(CliError):
    """No answer from the service: it is not there, or not for the moment."""
