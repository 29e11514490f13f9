"""Files of machines: an SSH command a line, a table, or what a provider's own command line prints."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from app.cli.errors import CliError

MAX_BYTES = 4 * 1024 * 1024
_ADDRESS = ("ssh_connection", "ssh_command", "ssh", "command", "address")
_HOST = ("host", "hostname", "ssh_host", "ip")
_PORT = ("port", "ssh_port")
_USER = ("user", "ssh_user")
_OWN = ("ui_home", "venv_path")
_KNOWN = frozenset({*_ADDRESS, *_HOST, *_PORT, *_USER, *_OWN})


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a file. `place`: where it stands there, for people; `entry`: as the API takes it."""

    place: str
    entry: Mapping[str, str]


def machines_in(file: IO[bytes]) -> list[Machine]:
    """The machines in a file, in its order. Raises CliError for a file that has none, or that cannot be read."""
    raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise _wrong("The file of machines is larger than 4 MB.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _wrong("The file of machines is no text in UTF-8.") from None
    found = list(_of_json(text) if text.lstrip().startswith(("[", "{")) and _is_json(text) else _of_lines(text))
    if not found:
        raise _wrong(
            "The file of machines names none.", "One SSH command a line; lines that begin with # are left out."
        )
    return found


def _wrong(message: str, hint: str = "") -> CliError:
    return CliError(message, hint=hint, field="--machines")


def _of_lines(text: str) -> Iterator[Machine]:
    lines = [(number, _without_comment(line)) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line]
    delimiter = _delimiter(lines[0][1]) if lines else ""
    if delimiter:
        yield from _of_table(lines, delimiter)
        return
    for number, line in lines:
        yield Machine(f"line {number}", {"ssh_connection": line})


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line).strip()


def _delimiter(head: str) -> str:
    """What stands between the columns of a table with this first line; empty for a line that is a machine."""
    for delimiter in (",", ";", "\t"):
        names = [name.strip().strip('"').lower() for name in head.split(delimiter)]
        if {*_ADDRESS, *_HOST} & set(names) and (len(names) > 1 or delimiter == ","):
            return delimiter
    return ""


def _of_table(lines: Sequence[tuple[int, str]], delimiter: str) -> Iterator[Machine]:
    rows = csv.reader(io.StringIO("\n".join(line for _, line in lines)), delimiter=delimiter)
    head = [name.strip().lower() for name in next(rows)]
    for (number, _), row in zip(lines[1:], rows, strict=False):
        yield _machine(f"line {number}", dict(zip(head, (cell.strip() for cell in row), strict=False)))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _of_json(text: str) -> Iterator[Machine]:
    """A list of addresses or objects, as `vastai show instances --raw` prints one."""
    found = json.loads(text)
    listed = found.get("instances") if isinstance(found, dict) else found
    if not isinstance(listed, list):
        raise _wrong("The file of machines has no list in it.", "It may be what vastai show instances --raw prints.")
    for number, each in enumerate(listed, 1):
        if isinstance(each, str):
            yield Machine(f"entry {number}", {"ssh_connection": each})
        else:
            yield _machine(f"entry {number}", each if isinstance(each, Mapping) else {})


def _machine(place: str, values: Mapping[str, Any]) -> Machine:
    own = {name: str(values[name]) for name in _OWN if values.get(name)}
    address, host = _first(values, _ADDRESS), _first(values, _HOST)
    if not address and not host:
        raise _wrong(f"{place[:1].upper()}{place[1:]} names no machine.", "ssh_connection, or host with port and user.")
    if not address:
        port, user = _first(values, _PORT), _first(values, _USER) or "root"
        address = f"ssh {f'-p {port} ' if port else ''}{user}@{host}"
    return Machine(place, {"ssh_connection": address, **own})


def _first(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(values[name]) for name in names if values.get(name) not in (None, "")), "")
