"""What a migration takes away from programs of the version before, which still run while hosts are upgraded in turn."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from test.house.sources import ROOT

VERSIONS = ROOT / "app" / "storage" / "migrations" / "versions"
FIRST_HELD = "0011"
"""Up to here one service had the database to itself, and was stopped for an upgrade."""
RELEASED: tuple[str, ...] = ("0007",)
"""The last revision of each release, oldest first; whoever releases adds one. The first is what users may have now."""

_DROPS = frozenset({"drop_column", "drop_table", "rename_table"})
_DEMANDS = frozenset({"create_unique_constraint", "create_check_constraint"})
_SQL = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|VIEW|TYPE|FUNCTION|CONSTRAINT)|RENAME\s+(TO|COLUMN)|SET\s+NOT\s+NULL|ALTER\s+COLUMN)\b",
    re.IGNORECASE,
)


def taken_away(path: Path) -> list[str]:
    """What `upgrade` of a migration drops, renames or demands, a line each."""
    found: list[tuple[int, str]] = []
    for part in ast.parse(path.read_text("utf-8")).body:
        if isinstance(part, ast.FunctionDef) and part.name == "downgrade":
            continue
        for node in ast.walk(part):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.search(node.value):
                found.append((node.lineno, f"SQL that takes away: {node.value.strip()[:60]}"))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found += [(node.lineno, what) for what in _of(node.func.attr, node)]
    return [f"{path.name}:{line}: {what}" for line, what in sorted(found)]


def contracts(path: Path) -> str | None:
    """The revision that made what replaces it: the migration's `CONTRACTS`."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(to, ast.Name) and to.id == "CONTRACTS" for to in node.targets
        ):
            return str(ast.literal_eval(node.value))
    return None


def faults_of(path: Path, released: tuple[str, ...] = RELEASED) -> list[str]:
    """What is wrong with a migration. What it takes away is right where an earlier revision, which a release has had,
    made what replaces it: no program that still runs uses it then."""
    found, named = taken_away(path), contracts(path)
    if not found:
        return [] if named is None else [f"{path.name}: takes nothing away, and has CONTRACTS"]
    if named is None:
        return found
    if not released or not named <= released[-1] < path.name[:4]:
        return [f"{path.name}: CONTRACTS names {named}, which no release before it has had", *found]
    return []


def _of(name: str, call: ast.Call) -> Iterator[str]:
    """What a call of Alembic's takes away."""
    given = {each.arg: each.value for each in call.keywords}
    if name in _DROPS or (name == "drop_constraint" and not _is(given.get("type_"), "foreignkey")):
        yield name
    elif name == "alter_column" and (given.keys() & {"new_column_name", "type_"} or _is(given.get("nullable"), False)):
        yield "alter_column: a new name, another type, or no more NULL"
    elif name in _DEMANDS:
        yield f"{name}: what the older version writes may be refused"
    elif name == "add_column":
        columns = [each for each in call.args if isinstance(each, ast.Call)]
        words = {word.arg: word.value for column in columns for word in column.keywords}
        if _is(words.get("nullable"), False) and "server_default" not in words:
            yield "add_column: NOT NULL without server_default, which the older version does not fill"


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value
