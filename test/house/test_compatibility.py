"""Each test that docs/compatibility.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent
_SHORT = re.compile(r"`T` stands for `(test/[\w/]+\.py)`")


def test_each_test_that_is_named_exists() -> None:
    text = (_ROOT / "docs" / "compatibility.md").read_text("utf-8")
    short = _SHORT.search(text)
    assert short is not None
    everywhere = "".join(path.read_text("utf-8") for path in sorted((_ROOT / "test").rglob("test_*.py")))
    named = re.findall(r"`(test/[\w/]+\.py|T|…)::(test_\w+)", text)
    assert len(named) > 60
    for file, name in named:
        path = {"T": short.group(1), "…": None}.get(file, file)
        where = (_ROOT / path).read_text("utf-8") if path else everywhere
        assert f"def {name}" in where, f"{file}::{name}"
