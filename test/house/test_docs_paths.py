"""Paths and targets that the documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from test.house.sources import ROOT

DOCUMENTS = sorted(
    [*(path.name for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"), "bench/README.md"]
    + [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
)
"""The changelog may name what is gone."""

PATH = re.compile(r"`((?:(?:app|bench|deploy|docs|test|\.ci|\.github)/|tools/[\w-]+\.)[\w./*-]+)")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"\bmake (?:[A-Z]+=\S+ )*([a-z]+(?:-[a-z]+)*)(?=[`\s]*(?:[A-Z]+=|#|`|$))", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str) -> None:
    """In backticks from the top folder on (`*` stands for anything), and in links from the document on."""
    text = (ROOT / document).read_text("utf-8")
    named = [(ROOT, name.rstrip("./")) for name in PATH.findall(text)]
    linked = [((ROOT / document).parent, name) for name in LINK.findall(text)]
    assert [
        name for folder, name in (*named, *linked) if not any(folder.glob(name)) and not (folder / name).exists()
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_exists(document: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    assert set(TARGET.findall((ROOT / document).read_text("utf-8"))) <= targets


def _exists(folder: Path, name: str) -> bool:
    return any(folder.glob(name)) if "*" in name else (folder / name).exists()
