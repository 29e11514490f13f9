"""Generated tables in the docs are what the code says."""

from __future__ import annotations

import pytest

from test.house.sources import ROOT
from tools.docs_tables import Table, markdown, rewritten, stale

TABLE = Table("docs/some.md", "fruit", lambda: markdown(["name", "colour"], [["apple", "red | green"]]))
DOCUMENT = "Before.\n<!-- table fruit: `make docs-tables` writes it -->\nold\n<!-- end of table fruit -->\nAfter.\n"


def test_no_table_in_the_docs_is_stale() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in stale()] == [], "run `make docs-tables`"


def test_only_what_is_between_the_comments_is_rewritten() -> None:
    fresh = rewritten(DOCUMENT, TABLE)
    assert fresh == DOCUMENT.replace("old", "| name | colour |\n| --- | --- |\n| apple | red \\| green |")
    assert rewritten(fresh, TABLE) == fresh


@pytest.mark.parametrize("document", ["", DOCUMENT * 2, DOCUMENT.replace("end of", "End of")])
def test_a_document_without_the_two_comments_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="docs/some.md does not have the two comments"):
        rewritten(document, TABLE)
