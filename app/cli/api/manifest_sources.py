"""Where an install's list of packs comes from: the options that name it, and the manifest that is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar

import click

from app.cli.api.file_kinds import Kind, are_addresses, json_of, kind_of_bytes, kind_of_json, kind_of_text
from app.cli.errors import CliError
from app.protocol.other_files.own_script import lock_in
from app.protocol.snapshot_text import decoded
from app.small_files import LIST_BYTES, UnusableFile, read_at_most

SOURCES = ("csv", "urls", "nodes", "lock", "snapshot", "file", "repo")
_OPTION_OF = {"urls": "--url"}
_SCRIPT_BYTES = 4_000_000
"""A script of ours has the runner in it; of that only the lock is sent."""
_F = TypeVar("_F", bound=Callable[..., Any])


def source_options(command: _F) -> _F:
    """The options of a command that takes a list of packs, one source of them."""
    text = click.File("rb")
    for option in reversed(
        (
            click.option("--csv", type=text, help="The list: Name,RepoUrl,Subfolder,RequirementsFile; - reads stdin."),
            click.option(
                "--url",
                "urls",
                multiple=True,
                metavar="URL",
                help="A pack's repository, or its id@version in the registry; may be given often.",
            ),
            click.option("--nodes", type=text, help="The list as JSON: node packs, or a manifest as the API takes it."),
            click.option("--lock", type=text, help="The lock of an earlier install: exactly its commits and packages."),
            click.option("--snapshot", type=text, help="A snapshot of ComfyUI-Manager, JSON or YAML."),
            click.option(
                "--file", type=text, help="Another tool's: of Desktop, comfy-build.yaml, provisioning.yaml, a script …"
            ),
            click.option(
                "--repo", metavar="URL", help="A repository that holds the list, as the Auto-installer's does."
            ),
        )
    ):
        command = option(command)
    return command


def manifest_of(given: Mapping[str, Any], *, also: str | None = None) -> dict[str, Any] | None:
    """The manifest of what was given by `SOURCES`; None for nothing: the service's own list. `also`: an option that was
    given besides and says it too. Raises CliError."""
    named = [name for name in SOURCES if given.get(name)]
    if len(named) > 1 or (named and also):
        options = " and ".join([*(_OPTION_OF.get(name, f"--{name}") for name in named), *([also] if also else [])])
        raise CliError(f"{options} cannot be used together.", hint="Put all packs into one list.")
    return _manifest(named[0], given[named[0]]) if named else None


def _manifest(source: str, value: Any) -> dict[str, Any]:
    """The manifest of one source: a file for most, an address or several for the others."""
    if source in ("urls", "repo"):
        return {source: list(value) if source == "urls" else value}
    text = _text(value, most=_SCRIPT_BYTES if source == "file" else LIST_BYTES)
    readers: dict[str, Callable[[Any, str], dict[str, Any]]] = {
        "csv": _of_csv,
        "snapshot": _of_snapshot,
        "file": lambda _file, text: {"file": lock_in(text) or text},
        "lock": _of_lock,
        "nodes": _of_nodes,
    }
    return readers[source](value, text)


def _of_csv(file: BinaryIO, text: str) -> dict[str, Any]:
    if are_addresses(text):
        return {"urls": [text]}  # a list without columns is a list too
    found = json_of(text)
    wrong = kind_of_json(found) or kind_of_text(text)
    if wrong and wrong.hint != "Give it with --csv.":
        raise _not_a("CSV", file, wrong)
    if isinstance(found, (list, dict)):
        raise CliError(f"{_name(file)} is JSON, not a CSV.", hint="Give it with --nodes.")
    return {"csv": text}


def _of_snapshot(file: BinaryIO, text: str) -> dict[str, Any]:
    if "custom_nodes" not in text and "customNodes" not in text:
        wrong = kind_of_json(json_of(text)) or kind_of_text(text)
        if wrong:
            raise _not_a("snapshot of ComfyUI-Manager", file, wrong)
    return {"manager_snapshot": text}


def _of_lock(file: BinaryIO, text: str) -> dict[str, Any]:
    if "custom_nodes" in text and "node_packs" not in text:
        return {"manager_snapshot": text}  # the option is another one, and what is meant is clear
    found = _json(file, text, "lock of an earlier install")
    if found is None:
        return {"manager_snapshot": text}
    wrong = None if "node_packs" in text else kind_of_json(found)
    if wrong and "--lock" not in wrong.hint:
        raise _not_a("lock of an earlier install", file, wrong)
    inner = found.get("lock") if isinstance(found, dict) else None  # the lock alone, or as GET /tasks/ID/lock answers
    return {"lock": inner if isinstance(inner, dict) else found}


def _of_nodes(file: BinaryIO, text: str) -> dict[str, Any]:
    found = _json(file, text, "list of node packs")
    wrong = kind_of_json(found)
    if wrong:
        raise _not_a("list of node packs", file, wrong)
    if isinstance(found, list):
        return {"urls" if found and all(isinstance(each, str) for each in found) else "nodes": found}
    if not isinstance(found, dict):
        raise CliError(
            f"{_name(file)} is neither a list of node packs nor a manifest.", hint="docs/api.md describes both."
        )
    return found


def _not_a(wanted: str, file: BinaryIO, kind: Kind) -> CliError:
    """The error for a file that is something else than it was given as."""
    return CliError(f"{_name(file)} is {kind.name}, not a {wanted}.", hint=kind.hint)


def _name(file: BinaryIO) -> str:
    return str(getattr(file, "name", "stdin"))


def _text(file: BinaryIO, *, most: int = LIST_BYTES) -> str:
    try:
        raw = read_at_most(file, most, _name(file))
    except UnusableFile as exc:
        raise CliError(f"{exc}.", hint="A list of node packs is smaller. Is it the right file?") from None
    wrong = kind_of_bytes(raw)
    if wrong:
        raise _not_a("list of node packs", file, wrong)
    if not raw.strip():
        raise CliError(f"{_name(file)} is empty.", hint="A list of node packs has a line for each.")
    return decoded(raw)


def _json(file: BinaryIO, text: str, wanted: str) -> Any:
    """The JSON of a file; None for a lock that is not quite JSON: the service reads it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        if "node_packs" in text and wanted.startswith("lock"):
            return None
        wrong = kind_of_text(text)
        if wrong:
            raise _not_a(wanted, file, wrong) from exc
        raise CliError(f"{_name(file)} is not JSON: {exc}.") from exc
