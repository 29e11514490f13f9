"""Names are the field's own words: the private ones that the first release used do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from test.house.sources import ROOT, STANDS_ALONE, sources

OLD_NAMES = frozenset(
    [
        "attendance",
        "unattended",
        "turns",
        "Turns",
        "Lane",
        "Lanes",
        "lane",
        "lanes",
        "chronicle",
        "Chronicle",
        "tell",
        "take",
        "hear",
        "board",
        "ProgressBoard",
        "Shown",
        "shown",
        "ties",
        "Ties",
        "orders",
        "Order",
        "aftercare",
        "doors",
        "Doors",
        "Door",
        "edge",
        "Parts",
        "census",
        "Census",
        "early",
        "EarlyResolution",
        "beside",
        "Beside",
        "shadow",
        "Shadow",
        "in_order",
        "InOrder",
        "split",
        "parties",
        "Wanted",
        "Found",
        "Known",
        "look_again",
        "gently",
        "most_seconds",
        "undo",
        "traces",
        "Traces",
        "downfall",
        "stillness",
        "Stillness",
        "places",
        "faults",
        "tuning",
        "Tuning",
        "needs",
        "other_copies",
        "by_hand",
        "waits",
        "crowded_out",
        "there",
        "calm",
        "deaf",
        "drawing",
        "plain",
        "columns",
        "endings",
        "connected",
        "following",
        "withdraw",
        "heed",
        "StopSignal",
        "wire",
        "masking",
        "packages_back",
        "packs_back",
    ]
)
"""Names of modules, classes, functions, arguments and variables, without leading underscores."""

MADE_UP = re.compile(
    r"attendance|unattended|chronicle|aftercare|downfall|stillness|crowded.out|by_hand|\bdoors?\b|\blanes?\b|"
    r"progress board|look_again|most_seconds|\bgently\b|other_copies",
    re.IGNORECASE,
)
"""Words that a newcomer would have to learn, as they may stand nowhere in the docs."""

WIRE_WORDS = re.compile(r'`lane`|"lane"|`look_again`')
"""What is on the wire keeps its name."""

DOCS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name != "CHANGELOG.md"  # what an older release said is history
)


def test_no_name_in_app_is_one_of_the_old_words() -> None:
    """Modules, classes, functions, arguments, variables and attributes."""
    found = [
        f"{source.path}:{line}: {name}"
        for source in sources("app")
        if not source.path.startswith(STANDS_ALONE)
        for name, line in [*((part, 1) for part in source.module.split(".")), *_names(source.tree)]
        if name.strip("_") in OLD_NAMES
    ]
    assert not found


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_the_docs_use_no_made_up_word(path: object) -> None:
    """Decisions are written in today's words too: they explain today's code."""
    text = WIRE_WORDS.sub("", (ROOT / str(path)).read_text("utf-8"))
    assert not [match.group(0) for match in MADE_UP.finditer(text)]


def _names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
