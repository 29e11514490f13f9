"""What users see when something goes wrong: a table from real runs. `python -m bench.faults [WORD in a title]…`"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.engine.machine import get_uv
from bench.faults.cases import SCENARIOS, make_shared
from bench.faults.recorded import TITLE as RECORDED
from bench.faults.recorded import recorded_rows
from bench.faults.rollback import TITLE as ROLLBACK
from bench.faults.rollback import play_rollback
from bench.faults.row import Row
from bench.faults.table import play

_Play = Callable[[], list[Row]]


def main(words: list[str]) -> int:
    """Plays the scenarios whose titles have one of the words (none: all) and prints a row a case; 1 if one is wrong."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="nodeferry-faults-") as name:
        for title, playing in _plays(Path(name)):
            if words and not any(word in title for word in words):
                continue
            began = time.monotonic()
            played = playing()
            print(f"-- {title} ({time.monotonic() - began:.1f} s)")
            for row in played:
                _print(row)
            rows += played
    wrong = sum(bool(row.wrong) for row in rows)
    print(f"{len(rows)} rows, {wrong} wrong")
    return 1 if wrong else 0


def _plays(folder: Path) -> Iterator[tuple[str, _Play]]:
    """All that is to be played, by its title."""
    caches = folder / "caches"
    make_shared(caches)
    uv = get_uv(folder / "uv")
    for number, scenario in enumerate(SCENARIOS):
        if scenario.mount and os.geteuid() != 0:
            print(f"-- {scenario.title}: left out, mounting needs root")
            continue
        yield scenario.title, partial(play, scenario, folder / f"scenario{number}", uv, caches)
    yield ROLLBACK, partial(play_rollback, folder / "rollback", uv, caches)
    yield RECORDED, recorded_rows


def _print(row: Row) -> None:
    imports = {True: "imports", False: "does not import", None: ""}[row.imports]
    print(f"{row.case:40} {row.state:10} {row.code:34} {imports}".rstrip())
    for line in (row.message, row.hint and f"hint: {row.hint}", *(f"WRONG: {text}" for text in row.wrong)):
        if line:
            print(f"{'':40} {line[:300]}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
