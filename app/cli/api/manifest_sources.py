"""Where an install's list of packs comes from: the options that name it, and the manifest that is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar

import click

from app.cli.errors import CliError
from app.protocol.snapshot_text import decoded
from app.small_files import LIST_BYTES, UnusableFile, read_at_most

SOURCES = ("csv", "urls", "nodes", "lock", "snapshot", "repo")
_OPTION_OF = {"urls": "--url"}
_F = TypeVar("_F", bound=Callable[..., Any])


def source_options(command: _F) -> _F:
    """The options of a command that takes a list of packs, one source of them."""
    text = click.File("rb")
    for option in reversed(
        (
            click.option("--csv", type=text, help="The list: Name,RepoUrl,Subfolder,RequirementsFile; - reads stdin."),
            click.option(
                "--url", "urls", multiple=True, metavar="URL", help="A pack's repository; may be given often."
            ),
            click.option("--nodes", type=text, help="The list as JSON: node packs, or a manifest as the API takes it."),
            click.option("--lock", type=text, help="The lock of an earlier install: exactly its commits and packages."),
            click.option("--snapshot", type=text, help="A snapshot of ComfyUI-Manager, JSON or YAML."),
            click.option(
                "--repo", metavar="URL", help="A repository that holds the list, as the Auto-installer's does."
            ),
        )
    ):
        command = option(command)
    return command


def manifest_of(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest of what was given by `SOURCES`; None for nothing: the service's own list. Raises CliError."""
    named = [name for name in SOURCES if given.get(name)]
    if len(named) > 1:
        options = " and ".join(_OPTION_OF.get(name, f"--{name}") for name in named)
        raise CliError(f"{options} cannot be used together.", hint="Put all packs into one list.")
    return _manifest(named[0], given[named[0]]) if named else None


def _manifest(source: str, value: Any) -> dict[str, Any]:
    """The manifest of one source: a file for most, an address or several for the others."""
    if source in ("csv", "snapshot"):
        return {"csv" if source == "csv" else "manager_snapshot": _text(value)}
    if source in ("urls", "repo"):
        return {source: list(value) if source == "urls" else value}
    text = _text(value)
    if source == "lock" and "custom_nodes" in text and "node_packs" not in text:
        return {"manager_snapshot": text}  # the option is another one, and what is meant is clear
    found = _json(value, text, lenient=source == "lock")
    if found is None:
        return {"manager_snapshot": text}
    if source == "lock":  # the lock alone, or as GET /tasks/ID/lock answers it
        inner = found.get("lock") if isinstance(found, dict) else None
        return {"lock": inner if isinstance(inner, dict) else found}
    if isinstance(found, list):
        return {"nodes": found}
    if not isinstance(found, dict):
        raise CliError(
            f"{value.name} is neither a list of node packs nor a manifest.", hint="docs/api.md describes both."
        )
    return found


def _text(file: BinaryIO) -> str:
    try:
        return decoded(read_at_most(file, LIST_BYTES, getattr(file, "name", "stdin")))
    except UnusableFile as exc:
        raise CliError(f"{exc}.", hint="A list of node packs is smaller. Is it the right file?") from None


def _json(file: BinaryIO, text: str, *, lenient: bool) -> Any:
    """The JSON of a file; None for a lock that is not quite JSON, where `lenient`: the service reads it."""
    try:
        return json.loads(text)
    except ValueError as exc:
        if lenient and "node_packs" in text:
            return None
        raise CliError(f"{file.name} is not JSON: {exc}.") from exc
