"""Writes the generated tables in the docs: `make docs-tables`.

A table stands between two comments in a Markdown file, and everything between them is generated:

    <!-- table NAME: `make docs-tables` writes it -->
    <!-- end of table NAME -->

To add a table, put the two comments into the document and an entry into TABLES. test/house/test_docs_tables.py fails
while a table in the docs is not what its function returns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools import event_table, licence_table, markdown, message_table, option_tables, settings_table

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Table:
    """One generated table: its file (from the project's root), its name in the comments, and who makes its text."""

    file: str
    name: str
    text: Callable[[], str]


TABLES: tuple[Table, ...] = (
    Table("docs/api.md", "options", option_tables.options),
    Table("docs/options.md", "where", option_tables.where),
    Table("docs/options.md", "why-not", option_tables.why_not),
    Table("docs/journal.md", "events", event_table.events),
    Table("docs/licences.md", "licences", licence_table.licences),
    Table("docs/settings.md", "settings", settings_table.settings),
    Table("docs/messages.md", "messages", lambda: message_table.messages(markdown.table)),
)


def rewritten(document: str, table: Table) -> str:
    """`document` with the newest text of `table` in it. Raises ValueError when its comments are not there once."""
    begin, end = f"<!-- table {table.name}: `make docs-tables` writes it -->\n", f"<!-- end of table {table.name} -->"
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise ValueError(f"{table.file} does not have the two comments of the table {table.name!r} once each")
    before, rest = document.split(begin)
    return f"{before}{begin}{table.text().strip()}\n{end}{rest.split(end)[1]}"


def stale() -> dict[Path, str]:
    """The documents with a table that is not the newest, and what they should be. Raises ValueError."""
    documents = {ROOT / table.file: (ROOT / table.file).read_text("utf-8") for table in TABLES}
    newest = dict(documents)
    for table in TABLES:
        newest[ROOT / table.file] = rewritten(newest[ROOT / table.file], table)
    return {path: text for path, text in newest.items() if text != documents[path]}


def main() -> None:
    """Rewrite what is stale, and say which files those were."""
    for path, text in stale().items():
        path.write_text(text, "utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}: rewritten\n")


if __name__ == "__main__":
    main()
