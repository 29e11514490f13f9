"""The project's own Python sources, as syntax trees, for the tests of the house's rules."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STANDS_ALONE = "app/standin/comfyui/"
"""Programs that the stand-in puts on its instance: they imitate other people's code and follow its rules."""


@dataclass(frozen=True, slots=True)
class Source:
    """One module: its path from the project's root (with slashes), its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Its dotted name; a package's is that of its folder."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def sources(*folders: str) -> list[Source]:
    """Every module under `folders` (names in the project's root), sorted by path."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [_parse(path) for path in paths]


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each imported name in full (`time.sleep` for `from time import sleep`) with its line, relative ones left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@functools.cache
def _parse(path: Path) -> Source:
    text = path.read_text("utf-8")
    return Source(path.relative_to(ROOT).as_posix(), text, ast.parse(text, filename=str(path)))
