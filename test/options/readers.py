"""Who reads which option, found in the sources."""

from __future__ import annotations

import ast
from collections.abc import Collection

from app.protocol.options import RUNNER, SERVICE
from test.house.sources import Source, sources

ROOMS = {SERVICE: ("app/sync", "app/domain"), RUNNER: ("app/runner",)}
_MAKES_OPTIONS = frozenset({"read_options", "read"})
_EDGES = frozenset({"app/sync/http/bodies.py", "app/runner/standalone/command_line.py"})
"""They check what was asked for; what is done about it is done elsewhere."""


def readers_of(name: str) -> set[str]:
    """The rooms in which some module reads `options.NAME`."""
    return {room for room, folders in ROOMS.items() if reads(name, _modules(*folders))}


def reads(name: str, modules: Collection[Source]) -> bool:
    """Whether one of these modules reads `options.NAME`, or that of options it has just read from JSON."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == name and _is_options(node.value)
        for module in modules
        for node in ast.walk(module.tree)
    )


def _modules(*folders: str) -> list[Source]:
    return [source for source in sources(*folders) if source.path not in _EDGES]


def _is_options(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    word = called or node
    name = word.attr if isinstance(word, ast.Attribute) else word.id if isinstance(word, ast.Name) else ""
    return name in _MAKES_OPTIONS if called else name == "options"
