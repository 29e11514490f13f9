"""What a command hands to a script: with --json one document on stdout, and nothing else; with --quiet no progress.

Every command has both flags (`with_output_options`). A command calls `put` with its data; `app.cli.entry` prints the
document when the command has ended, with its exit status and its error. docs/cli.md describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import click

EXIT_FAILED, EXIT_USAGE, EXIT_PARTIAL, EXIT_INTERRUPTED = 1, 2, 3, 130
EXIT_STATUSES = "Exit status: 0 done; 1 refused or failed; 2 not a command line; 130 interrupted."
_NO_DOCUMENT = frozenset({"serve", "worker", "demo", "pyz"})
"""Commands for people: what they print is no data."""
_OF_STATUS = {
    EXIT_PARTIAL: ("some_packs_failed", "Some node packs are not ready."),
    EXIT_INTERRUPTED: ("interrupted", "It was interrupted or stopped."),
}


@dataclass
class Output:
    """One command's output. `said`: how it ended, in a sentence, which --quiet shows where it ended badly; `token`:
    what --token says."""

    as_json: bool = False
    quiet: bool = False
    data: Any = None
    said: str = ""
    error: dict[str, Any] | None = None
    has_secret: bool = False
    token: str = ""
    texts: list[str] = field(default_factory=list)


_current: ContextVar[Output] = ContextVar("output")


def begin(words: Sequence[str]) -> Output:
    """The output of the command line `words`. Known before they are parsed: a wrong flag is answered so too."""
    flags = [word for word in words[: words.index("--")] if word] if "--" in words else list(words)
    helps = {"-h", "--help"} & set(flags)
    named = next((word for word in flags if not word.startswith("-")), "")
    output = Output(
        as_json="--json" in flags and not helps and named not in _NO_DOCUMENT,
        quiet=bool({"-q", "--quiet"} & set(flags)),
    )
    _current.set(output)
    return output


def output() -> Output:
    """That of the command that runs."""
    return _current.get(_NOBODYS)


_NOBODYS = Output()


def put(data: Any, *, said: str = "", has_secret: bool = False) -> None:
    """The command's data, for --json; the last call counts. `has_secret`: one that is to be shown, this once."""
    now = output()
    now.data, now.said, now.has_secret = data, said, has_secret


def put_error(code: str, message: str, hint: str = "", field: str | None = None) -> None:
    """Why the command failed, for --json."""
    output().error = {"code": code, "message": message, "hint": hint, "field": field}


def document(status: int) -> str:
    """The document of the command that has ended with `status`: `ok`, `exit_status`, `data`, `error`."""
    now = output()
    data = {"text": "".join(now.texts)} if now.data is None and now.texts else now.data
    error = None if status == 0 else now.error or _error_of(status, data, now.said)
    return json.dumps({"ok": status == 0, "exit_status": status, "data": data, "error": error}, indent=2)


def _error_of(status: int, data: Any, said: str) -> dict[str, Any]:
    """The error of a run that ended badly: its own, or what its exit status says."""
    own = data.get("error") if isinstance(data, Mapping) else None
    own = own if isinstance(own, Mapping) and own.get("code") else {}
    code, message = _OF_STATUS.get(status, ("failed", "It failed."))
    return {
        "code": own.get("code") or code,
        "message": own.get("message") or said or message,
        "hint": own.get("hint") or "",
        "field": None,
    }


def with_output_options(command: click.Command) -> click.Command:
    """The command with --json and --quiet, where it has none of its own, and its exit statuses in --help."""
    known = {name for param in command.params for name in param.opts}
    if isinstance(command, click.Group) or "--quiet" in known:
        return command
    if "--json" not in known and command.name not in _NO_DOCUMENT:
        text = "One JSON document on stdout: ok, exit_status, data, error."
        command.params.append(click.Option(["--json"], is_flag=True, expose_value=False, help=text))
    if command.name not in {"serve", "worker"}:
        text = "No progress and no notes: only what was asked for, and errors."
        command.params.append(click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, help=text))
    if "Exit status" not in (command.help or ""):
        command.epilog = EXIT_STATUSES
    return command
