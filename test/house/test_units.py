"""One unit system: what a person reads has decimal units, as providers and disks show them (protocol/amounts.py)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from test.house.sources import ROOT, sources

BINARY = re.compile(r"\b[KMGT]iB\b")
READS = {"app/runner/machine/git_progress.py", "app/runner/resolve/installer.py"}
"""They read the units of git and uv."""
WIRE = {"app/protocol/progress_json.py"}
"""The texts of the original API."""
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "bench/README.md", *(ROOT / "docs").rglob("*.md")]


def test_no_text_of_the_program_has_binary_units() -> None:
    """Docstrings and comments are for who reads the code, where a limit is a power of two."""
    found = {source.path for source in sources("app") if any(BINARY.search(text) for text in _texts(source.tree))}
    assert found - READS - WIRE == set()


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_no_document_has_binary_units(path: Path) -> None:
    """But for the two texts of the original API."""
    lines = [line for line in path.read_text("utf-8").splitlines() if BINARY.search(line)]
    assert [line for line in lines if "data_received" not in line] == []


def _texts(tree: ast.Module) -> list[str]:
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs]
    return [node.value for node in constants if isinstance(node.value, str)]
