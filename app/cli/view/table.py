"""A plain table for output that people paste from and scripts cut: aligned, never folded, never shortened."""

from __future__ import annotations

from collections.abc import Sequence

from app.protocol.terminal_text import one_line


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Head and rows as lines; None is `-`."""
    cells = [list(head), *([one_line("-" if cell is None else cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)
