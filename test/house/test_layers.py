"""import-linter holds the layers' order (`make lint`); this holds that no module escapes the list."""

from __future__ import annotations

import re
import tomllib
from functools import cache

from test.house.sources import ROOT, STANDS_ALONE, sources


def test_every_module_of_app_stands_in_a_layer() -> None:
    """A module that no layer names could import anything."""
    found = [
        source.module
        for source in sources("app")
        if source.text.strip() and not source.path.startswith(STANDS_ALONE)
        if not any(f"{source.module}.".startswith(f"{layer}.") for layer in _layers())
        if not any(layer.startswith(f"{source.module}.") for layer in _layers())  # a package that only says what it is
    ]
    assert not found


def test_a_layer_that_is_built_stands_without_parentheses() -> None:
    """In parentheses a layer may be missing, and with a slip in its name it would be missing for ever."""
    modules = {source.module for source in sources("app")}
    assert not [layer for layer in _layers(optional=True) if layer in modules]


@cache
def _layers(*, optional: bool = False) -> list[str]:
    """The layers of pyproject.toml, and `app.runner`, which has contracts of its own; or only those in parentheses."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    text = " ".join(next(contract["layers"] for contract in contracts if contract["id"] == "layers"))
    if optional:
        return re.findall(r"\(([\w.]+)\)", text)
    return [*re.findall(r"[\w.]+", text), "app.runner"]
