"""Rich's console, on which text of others cannot steer the terminal.

Cells and lines are cleaned where they are laid out too: a letter that is replaced here may be wider than before.
"""

from __future__ import annotations

import io

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from app.cli.output import output
from app.protocol.redaction import masked
from app.protocol.terminal_text import many_lines


class Cleaned:
    """A picture whose text cannot steer the terminal; its own colours and cursor movements stay."""

    def __init__(self, picture: ConsoleRenderable) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The picture's pieces of text, each cleaned."""
        for text, style, control in console.render(self._picture, options):
            yield Segment(text if control else masked(many_lines(text)), style, control)


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Cleaned(each) for each in renderables]


def console_on(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr that cleans what is printed; on stderr with --json, silent with --quiet. What is
    drawn live is to be given as `Cleaned`."""
    now = output()
    nowhere = io.StringIO() if now.quiet else None
    to_stderr = stderr or now.as_json
    console = Console(file=nowhere, stderr=to_stderr, markup=False, emoji=False)  # markup could make links
    console.push_render_hook(_Hook())
    return console
