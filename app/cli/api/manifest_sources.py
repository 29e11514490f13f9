"""Where an install's list of packs comes from: the options that name it, and the manifest that is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TextIO, TypeVar

import click

from app.cli.errors import CliError

SOURCES = ("csv", "urls", "nodes", "lock", "snapshot", "repo")
_OPTION_OF = {"urls": "--url"}
_F = TypeVar("_F", bound=Callable[..., Any])


def source_options(command: _F) -> _F:
    """The options of a command that takes a list of packs, one source of them."""
    text = click.File("r", encoding="utf-8-sig")
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
    found = _json(value)
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


def _text(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError as exc:
        raise CliError(f"{file.name} is not UTF-8 text.") from exc


def _json(file: TextIO) -> Any:
    try:
        return json.loads(_text(file))
    except ValueError as exc:
        raise CliError(f"{file.name} is not JSON: {exc}.") from exc
