"""What the page promises, and whether it holds: a row a promise."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

FIRST_ROW, ROWS_IN_VIEW, SHIFT, REQUESTS = 200, 16, 0.05, 8
CPU_SHARE = {34: 1 / 5, 200: 1 / 4}
BYTES_SHARE, PAINT_FACTOR = 1 / 10, 2.0
LATE_FACTOR, LATE_MS = 1.5, 50.0


@dataclass(frozen=True, slots=True)
class Row:
    """One promise. `limit` is in the figure's own unit; `old`: the earlier release's figure, where there is one."""

    what: str
    now: float | str | None
    old: float | str | None
    limit: str
    holds: bool

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        return {name: getattr(self, name) for name in self.__slots__}


def at_most(what: str, now: float, limit: float, old: float | None = None) -> Row:
    """`now` may be `limit`, and no more."""
    return Row(what, round(now, 3), None if old is None else round(old, 3), f"<= {limit:g}", now <= limit)


def share(what: str, now: float, old: float | None, part: float) -> Row:
    """`now` may be a part of the earlier release's."""
    if not old:
        return Row(what, round(now, 3), None, f"<= {part:g} of the old", False)
    return Row(
        f"{what} ({now / old:.3f} of the old)", round(now, 3), round(old, 3), f"<= {part:g} of it", now <= part * old
    )


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which this part of them is; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def median(values: Iterable[float]) -> float:
    """Of any number of values."""
    return statistics.median(values)


def table(rows: Sequence[Row]) -> str:
    """For people."""
    cells = [("", "what", "now", "7f86b61", "limit")]
    cells += [("ok" if row.holds else "NO", row.what, _text(row.now), _text(row.old), row.limit) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join(lines)


def _text(value: float | str | None) -> str:
    return "" if value is None else f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
