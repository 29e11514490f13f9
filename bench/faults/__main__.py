"""What users see when something goes wrong: a table from real runs. `python -m bench.faults [WORD in a title]…`"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from bench.engine.machine import get_uv
from bench.faults.cases import SCENARIOS, make_broken_sdist
from bench.faults.table import Row, play


def main(words: list[str]) -> int:
    """Plays the scenarios whose titles have one of the words (none: all) and prints a row a case; 1 if one is wrong."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="nodeferry-faults-") as name:
        folder = Path(name)
        make_broken_sdist(folder / "caches")
        uv = get_uv(folder / "uv")
        for number, scenario in enumerate(SCENARIOS):
            if words and not any(word in scenario.title for word in words):
                continue
            if scenario.mount and os.geteuid() != 0:
                print(f"-- {scenario.title}: left out, mounting needs root")
                continue
            began = time.monotonic()
            played = play(scenario, folder / f"scenario{number}", uv, folder / "caches")
            print(f"-- {scenario.title} ({time.monotonic() - began:.1f} s)")
            for row in played:
                _print(row)
            rows += played
    wrong = sum(bool(row.wrong) for row in rows)
    print(f"{len(rows)} rows, {wrong} wrong")
    return 1 if wrong else 0


def _print(row: Row) -> None:
    imports = {True: "imports", False: "does not import", None: ""}[row.imports]
    print(f"{row.case:34} {row.state:10} {row.code:34} {imports}")
    for line in (row.message, row.hint and f"hint: {row.hint}", *(f"WRONG: {text}" for text in row.wrong)):
        if line:
            print(f"{'':34} {line[:300]}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
