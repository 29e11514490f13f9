"""Each test that docs/compatibility.md and docs/security.md name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent.parent
_SHORT = re.compile(r"`T` stands for `(test/[\w/]+\.py)`")


@pytest.mark.parametrize(("document", "at_least"), [("compatibility.md", 61), ("security.md", 0)])
def test_each_test_that_is_named_exists(document: str, at_least: int) -> None:
    text = (_ROOT / "docs" / document).read_text("utf-8")
    short = _SHORT.search(text)
    everywhere = "".join(path.read_text("utf-8") for path in sorted((_ROOT / "test").rglob("test_*.py")))
    named = re.findall(r"`(test/[\w/]+\.py|T|…)::(test_\w+)", text)
    assert len(named) >= at_least
    for file, name in named:
        path = {"T": short.group(1) if short else "", "…": None}.get(file, file)
        where = (_ROOT / path).read_text("utf-8") if path else everywhere
        assert f"def {name}" in where, f"{file}::{name}"
